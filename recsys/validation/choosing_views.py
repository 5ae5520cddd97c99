"""Choose the weights of views in a head's kernel, view by view, by what surely helps on held-out items."""

from collections.abc import Callable, Mapping, Sequence

from recsys.validation.choices import Choice, Weights
from recsys.validation.comparing import Figures, surest_gain

Trial = Callable[[Sequence[Weights]], Mapping[Choice, Figures]]
"""Tries heads with each of some views and weights; returns the figures of all."""


def choose_views(
    names: Sequence[str], weights: Sequence[float], start: Figures, trial: Trial, n_errors: float
) -> Weights:
    """Add one view after the other to a head, as long as it surely helps.

    First each view is tried alone, with every weight. Those that surely help are added in the order of their gain: the
    first as it is; each other is tried with every weight beside those before it, and added if it surely helps once
    more. So n views take less than 2n times as many heads as there are weights.

    A view surely helps if the paired gain in ndcg@k + recall@5k over users, minus some standard errors, is above 0, and
    no fold is surely worse; see `gain_by_users`.

    Args:
        names: of the views.
        weights: to try, above 0.
        start: figures of the head without views: the best trained one, or first light.
        trial: tries heads.
        n_errors: standard errors to subtract.

    Returns:
        The views that help, with their weights, by name; () where none does.
    """
    alone = trial([((name, weight),) for name in names for weight in weights])
    by_name = {
        name: {choice: figures for choice, figures in alone.items() if choice.views[0][0] == name}
        for name in names
    }
    better = {name: surest_gain(heads, start, n_errors) for name, heads in by_name.items()}
    bounds = {name: found[0] for name, found in better.items() if found}
    taken: Weights = ()
    reached = start
    for name in sorted(bounds, key=lambda one: -bounds[one]):
        beside = [tuple(sorted((*taken, (name, weight)))) for weight in weights]
        heads = trial(beside) if taken else by_name[name]
        found = surest_gain(heads, reached, n_errors)
        if found:
            taken, reached = found[1].views, heads[found[1]]
    return taken
