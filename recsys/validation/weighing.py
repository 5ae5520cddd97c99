"""Choose item weights for a chosen head, if any help, by held-out interactions and items."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.features.views import take
from recsys.heads.kernel_head import KernelHead
from recsys.heads.learning import find_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.ranking.dot import Dot
from recsys.ranking.learning import CoOccurrence, balanced, co_occurrence, item_weights
from recsys.ranking.ranker import Ranker
from recsys.validation.sets import MIXED, TAIL, WARM, ListMetrics, ValidationSet, hold_out_items_and_pairs

_Weighted = tuple[float | None, float, float]
"""λ of the item weights (None: none), power, lift."""
NO_WEIGHTS: _Weighted = (None, 0.0, 1.0)


def choose_item_weights(
    dataset: Dataset,
    held: NDArray[np.int64],
    recipe: Recipe,
    params: FusionParams,
    alone_lambda: float,
    k: int,
    max_users: int,
    head_share: float,
    report: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """Choose λ, power and lift of item weights, or none.

    They are judged by lists of warm items and by mixed lists of warm and held-out items; they do not change lists of
    held-out items alone. First λ is chosen by the warm lists, then power and lift. The best choice has the largest mean
    of ndcg@k + recall@5k over both kinds of lists, among those that rank the tail hardly worse (`max_loss_tail`) than
    profiles alone and the encoder alone. If there is none, the choice that ranks the tail best is taken. A fine-tuned
    encoder has learned from the held-out interactions, though not from the held-out items, which favours it a little.

    Args:
        dataset: the whole training side.
        held: rows of the items to hold out cold.
        recipe: one with a head.
        params: section `fusion`.
        alone_lambda: λ of users over the encoder's vectors alone.
        k: cutoff.
        max_users: the most users of each kind of list; a sample where there are more.
        head_share: share of the warm items that is not the tail, as in section `evaluate`.
        report: called with a sentence at each step.

    Returns:
        The recipe with λ, power, lift and the figures; unchanged where no list has a user.
    """
    if not recipe.has_head or not params.ease_lambdas:
        return recipe
    validation = hold_out_items_and_pairs(dataset, held, params.seed, max_users, head_share)
    report("validation: learning a head for item weights")
    head = find_head(validation.dataset, recipe, params) if validation else None
    if validation is None or head is None:
        return recipe
    learned = profiled(validation, head, recipe)
    found = co_occurrence(learned, params.max_weighted_items)
    if found is None:
        return recipe

    def judged(rankers: Mapping[_Weighted, Ranker]) -> Mapping[_Weighted, Mapping[str, ListMetrics]]:
        return validation.evaluate(learned, rankers, k)

    metrics = _weighed(judged, found, params, report)
    alone = metrics[NO_WEIGHTS]
    bare = replace(validation.dataset, ridge_lambda=alone_lambda, lexical_width=0)
    base = validation.evaluate(bare, {"base": Dot()}, k)["base"]
    wanted = max(_tail(alone), _tail(base)) - params.max_loss_tail
    kept = min(wanted, max(_tail(lists) for lists in metrics.values()))
    allowed = [choice for choice, lists in metrics.items() if _tail(lists) >= kept]
    best = max(allowed, key=lambda choice: _shown(metrics[choice]).sum)  # the first of equal ones
    tried = {_weighted(choice): round(_shown(lists).ndcg, 6) for choice, lists in metrics.items()}
    lists = {name: one.ndcg for name, one in metrics[best].items()}
    lists |= {f"{name} by profiles alone": one.ndcg for name, one in alone.items()}
    lists |= {f"{name} by the encoder alone": one.ndcg for name, one in base.items()}
    return replace(
        recipe,
        ease_lambda=best[0],
        popularity_power=best[1],
        lift=best[2],
        tried={**tried, **recipe.tried},
        lists=lists,
    )


def profiled(validation: ValidationSet, head: KernelHead, recipe: Recipe) -> Dataset:
    """Give a set's dataset the profiles of a head.

    Args:
        validation: the set.
        head: learned from its dataset.
        recipe: of the head; sets λ.

    Returns:
        The dataset with profiles of the items that the set's lists may hold, and zeros for all others.
    """
    dataset = validation.dataset
    profiles_ID = np.zeros((len(dataset.texts), head.dim), np.float32)
    for rows in (dataset.warm, validation.held):
        texts, views = [dataset.texts[row] for row in rows], take(dataset.views, rows)
        profiles_ID[rows] = head.profiles(texts, dataset.vectors_ID[rows], views)
    ridge_lambda = recipe.lambda_of(head)
    return replace(
        dataset, vectors_ID=profiles_ID, ridge_lambda=ridge_lambda, lexical_width=head.lexical_width
    )


def _weighed(
    judged: Callable[[Mapping[_Weighted, Ranker]], Mapping[_Weighted, Mapping[str, ListMetrics]]],
    found: CoOccurrence,
    params: FusionParams,
    report: Callable[[str], None],
) -> dict[_Weighted, Mapping[str, ListMetrics]]:
    """Metrics of no weights, of every λ, and of every power and lift with the best λ."""
    made = {}
    for one in params.ease_lambdas:
        report(f"validation: item weights with λ = {one:g}")
        made[one] = item_weights(found, one, params.weights_per_item)
    rankers: dict[_Weighted, Ranker] = {NO_WEIGHTS: Dot()}
    metrics = dict(judged(rankers | {(one, 0.0, 1.0): weights for one, weights in made.items()}))
    by_warm = {one: metrics[one, 0.0, 1.0].get(WARM, ListMetrics(0, 0)).sum for one in made}
    best = max(by_warm, key=lambda one: by_warm[one])  # the first of equal ones
    balances = [(power, lift) for power in params.popularity_powers for lift in params.lifts]
    further: dict[_Weighted, Ranker] = {
        (best, power, lift): balanced(made[best], found, power, lift)
        for power, lift in balances
        if (power, lift) != (0.0, 1.0)
    }
    report(f"validation: {len(further)} balances of item weights with λ = {best:g}")
    metrics |= judged(further)
    return {one: lists for one, lists in metrics.items() if one == NO_WEIGHTS or one[1:] in balances}


def _tail(lists: Mapping[str, ListMetrics]) -> float:
    """Mean ndcg of the tail; 0 where the task has no user."""
    return lists[TAIL].ndcg if TAIL in lists else 0.0


def _shown(lists: Mapping[str, ListMetrics]) -> ListMetrics:
    """The mean over the lists `warm` and `mixed`."""
    shown = [lists[name] for name in (WARM, MIXED) if name in lists]
    ndcg, recall = (
        sum(values) / len(shown) for values in zip(*((one.ndcg, one.recall) for one in shown), strict=True)
    )
    return ListMetrics(round(ndcg, 6), round(recall, 6))


def _weighted(choice: _Weighted) -> str:
    ease_lambda, power, lift = choice
    return (
        "no item weights"
        if ease_lambda is None
        else f"item weights {ease_lambda:g}, power {power:g}, lift {lift:g}"
    )
