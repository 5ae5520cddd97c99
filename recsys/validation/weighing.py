"""Choose the item weights that order lists beside a chosen head, if any: by held-out clicks and held-out items."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.heads.learning import Recipe, head_of, survey
from recsys.heads.params import FusionParams
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.learning import Together, balanced, item_weights, met_together
from recsys.validation.sets import MIXED, TAIL, WARM, Mark, mixed_exam

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
    say: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """Which item weights are to order lists beside a chosen head, if any.

    Judged by lists of warm items, by held-out interactions, and by lists of warm and held-out items together. Lists
    of held-out items alone stay as they are. First the λ is chosen by warm lists, then power and lift: the best has the
    largest mean over both lists of ndcg@k + recall@5k, among those that rank the tail of the warm items hardly worse
    than profiles alone and the encoder alone do; where none does, it is the one that ranks the tail best. A base that
    was fine-tuned has seen the held-out clicks, though never the held-out items: then both flatter the text a little.

    Args:
        dataset: the whole training side.
        held: rows of the items that are held out cold.
        recipe: with a head.
        params: section `fusion`.
        alone_lambda: λ of users over the base vectors alone.
        k: cutoff.
        max_users: users asked for each list, sampled by the seed.
        say: told what is being tried.

    Returns:
        The recipe with λ, power, lift and what was tried; unchanged where nobody can be asked.
    """
    if recipe.lexical_share is None or not params.ease_lambdas:
        return recipe
    exam = mixed_exam(dataset, held, params.seed, max_users)
    ground = survey(exam.rest, params) if exam else None
    if exam is None or ground is None:
        return recipe
    say("validation: learning a head for item weights")
    head = head_of(exam.rest, ground, recipe, params)
    warm_WD, held_HD = (
        head.profiles([dataset.texts[row] for row in rows], dataset.vectors_ID[rows])
        for rows in (exam.warm, exam.held)
    )
    ridge_lambda, width = recipe.lambda_of(head), head.lexical_width
    together = met_together(exam.rest, warm_WD, ridge_lambda, params.max_weighted_items, width)
    if together is None:
        return recipe

    def judged(ways: Mapping[_Weighted, ItemWeights | None]) -> Mapping[_Weighted, Mapping[str, Mark]]:
        made = {choice: (ridge_lambda, weights) for choice, weights in ways.items()}
        return exam.marks(warm_WD, held_HD, made, k, width)

    marks = _weighed(judged, together, params, say)
    alone = marks[NO_WEIGHTS]
    base_WL, base_HL = dataset.vectors_ID[exam.warm], dataset.vectors_ID[exam.held]
    base = exam.marks(base_WL, base_HL, {"base": (alone_lambda, None)}, k)["base"]
    wanted = max(_tail(alone), _tail(base)) - params.max_loss_tail
    kept = min(wanted, max(_tail(lists) for lists in marks.values()))
    allowed = [choice for choice, lists in marks.items() if _tail(lists) >= kept]
    best = max(allowed, key=lambda choice: _shown(marks[choice]).sum)  # the first of equals
    tried = {_weighted(choice): round(_shown(lists).ndcg, 6) for choice, lists in marks.items()}
    found = {name: mark.ndcg for name, mark in marks[best].items()}
    found |= {f"{name} by profiles alone": mark.ndcg for name, mark in alone.items()}
    found |= {f"{name} by the encoder alone": mark.ndcg for name, mark in base.items()}
    return replace(
        recipe,
        ease_lambda=best[0],
        popularity_power=best[1],
        lift=best[2],
        tried={**tried, **recipe.tried},
        lists=found,
    )


def _weighed(
    judged: Callable[[Mapping[_Weighted, ItemWeights | None]], Mapping[_Weighted, Mapping[str, Mark]]],
    together: Together,
    params: FusionParams,
    say: Callable[[str], None],
) -> dict[_Weighted, Mapping[str, Mark]]:
    """What was tried, with its marks: no weights, every λ, and every power and lift of the best λ."""
    made = {}
    for one in params.ease_lambdas:
        say(f"validation: item weights with λ = {one:g}")
        made[one] = item_weights(together, one, params.weights_per_item)
    ways: dict[_Weighted, ItemWeights | None] = {NO_WEIGHTS: None}
    marks = dict(judged(ways | {(one, 0.0, 1.0): weights for one, weights in made.items()}))
    by_warm = {one: marks[one, 0.0, 1.0].get(WARM, Mark(0, 0)).sum for one in made}
    best = max(by_warm, key=lambda one: by_warm[one])  # the first of equals
    balances = [(power, lift) for power in params.popularity_powers for lift in params.lifts]
    further: dict[_Weighted, ItemWeights | None] = {
        (best, power, lift): balanced(made[best], together, power, lift)
        for power, lift in balances
        if (power, lift) != (0.0, 1.0)
    }
    say(f"validation: {len(further)} balances of item weights with λ = {best:g}")
    marks |= judged(further)
    return {one: lists for one, lists in marks.items() if one == NO_WEIGHTS or one[1:] in balances}


def _tail(lists: Mapping[str, Mark]) -> float:
    """Ndcg of the items met least; the same everywhere if nobody can be asked for them."""
    return lists[TAIL].ndcg if TAIL in lists else 0.0


def _shown(lists: Mapping[str, Mark]) -> Mark:
    """The mean over the lists that users see."""
    shown = [lists[name] for name in (WARM, MIXED) if name in lists]
    ndcg, recall = (
        sum(values) / len(shown) for values in zip(*((one.ndcg, one.recall) for one in shown), strict=True)
    )
    return Mark(round(ndcg, 6), round(recall, 6))


def _weighted(choice: _Weighted) -> str:
    ease_lambda, power, lift = choice
    return (
        "no item weights"
        if ease_lambda is None
        else f"item weights {ease_lambda:g}, power {power:g}, lift {lift:g}"
    )
