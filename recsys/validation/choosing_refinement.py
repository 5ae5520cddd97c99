"""Refine heads: a constant coordinate of profiles, and likes that count less where they are alike.

The best trained head may have both. First light has a constant by its parameters, so only the other is tried for it.
A refinement is tried for one head alone, which takes a tenth of the time of choosing that head, or less.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

from recsys.encoders.params import FirstLightParams
from recsys.heads.params import FusionParams
from recsys.validation.choices import PLAIN, Choice, Extras, Refinement, RidgeChoice, Tried
from recsys.validation.comparing import Figures, mean_ndcg, surest_gain
from recsys.validation.sets import ValidationSet
from recsys.validation.trying import OnFolds, survey_fold, try_first_light, try_heads


def choose_refinement(
    on_folds: OnFolds,
    tried: dict[Choice, Figures],
    best: Choice,
    ridges: Sequence[RidgeChoice],
    params: FusionParams,
    k: int,
    report: Callable[[str], None],
    field_terms: float,
) -> Refinement:
    """Try the best head that learns from users and has no separate words with each refinement that `params` lists.

    Args:
        on_folds: tries choices on all folds.
        tried: figures of what was tried; those of refined heads are added.
        best: the best choice so far.
        ridges: what to try of ridge users.
        params: section `fusion`.
        k: cutoff.
        report: called with a sentence at each step.
        field_terms: of the words of the head, see `Recipe`.

    Returns:
        The refinement that most surely helps, see `gain_by_users`; PLAIN where none does.
    """
    plain = [one for one in tried if one.metric_power is not None and not one.words_weight]
    refined = [one for one in product((0.0, *params.constants), (0.0, *params.alike_powers)) if one != PLAIN]
    if not plain or not refined:
        return PLAIN
    start = best if best in plain else max(plain, key=lambda one: mean_ndcg(tried[one]))
    report("validation: refining the best trained head")

    def try_on(validation: ValidationSet) -> Iterator[Tried]:
        fold = survey_fold(validation, params, ridges, k, field_terms)
        if fold is not None and start.lexical_share is not None:
            yield from try_heads(fold, start.lexical_share, (start.metric_power,), refined=refined)

    found = on_folds(try_on)
    tried.update(found)
    better = surest_gain(found, tried[start], params.standard_errors)
    return better[1].refinement if better else PLAIN


def choose_first_light_refinement(
    on_folds: OnFolds,
    tried: dict[Choice, Figures],
    first_light: FirstLightParams | None,
    before: Extras,
    ridges: Sequence[RidgeChoice],
    params: FusionParams,
    k: int,
    report: Callable[[str], None],
) -> Refinement:
    """Try first light with alike likes that count less, by each power that `params` lists, and with all the same.

    Args:
        on_folds: tries choices on all folds.
        tried: figures of what was tried, first light as it is too; those of the others are added.
        first_light: section `first_light`; None: it is not tried.
        before: what first light has; its views stay.
        ridges: what to try of ridge users.
        params: section `fusion`.
        k: cutoff.
        report: called with a sentence at each step.

    Returns:
        The refinement that most surely helps, see `gain_by_users`; that of before where none does.
    """
    same = [one for one in tried if one.is_first_light and before.are_of(one)]
    powers = [one for one in (0.0, *params.alike_powers) if (0.0, one) != before.refinement]
    if first_light is None or not same or not powers:
        return before.refinement
    report("validation: refining first light")

    def try_on(validation: ValidationSet) -> Iterator[Tried]:
        _, figures = try_first_light(validation, first_light, ridges, params, k, before.views, powers)
        yield from figures.items()

    found = on_folds(try_on)
    tried.update(found)
    start = max(same, key=lambda one: mean_ndcg(tried[one]))
    better = surest_gain(found, tried[start], params.standard_errors)
    return better[1].refinement if better else before.refinement
