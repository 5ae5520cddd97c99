"""Choose a head by cold starts of the training side's own: words, metric and λ by held-out items, then its ranker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.fusion.exams import COLD, MIXED, TAIL, WARM, Exam, Mark, Shop, Way, cold_exam, mixed_exam
from recsys.fusion.heads import ALONE, Recipe, coordinates, learn, profiles, survey
from recsys.fusion.item_weights import Together, balanced, item_weights, met_together
from recsys.fusion.params import FusionParams

_Choice = tuple[float | None, float, float]
"""Lexical share (None: no head), metric power, λ."""
_Weighted = tuple[float | None, float, float]
"""λ of the item weights (None: none), power, lift."""
NO_WEIGHTS: _Weighted = (None, 0.0, 1.0)


def choose_recipe(
    shop: Shop,
    folds: Sequence[NDArray[np.int64]],
    params: FusionParams,
    lambdas: Sequence[float],
    k: int,
    max_users: int,
    say: Callable[[str], None] = lambda _: None,
    alone_lambdas: Sequence[float] | None = None,
) -> Recipe:
    """Rank held-out items by what the others taught, for each lexical share, metric power and λ; keep the best.

    The best has the largest ndcg@k + recall@5k: short lists are shown, long ones are what a ranker gets to choose from.
    But no head is chosen whose short lists are worse than those of the base vectors alone.

    Args:
        shop: the whole training side; held items' interactions are only asked for, never learned from.
        folds: rows of the items that are held out cold, once for each fold; marks are means over the folds.
        params: section `fusion`.
        lambdas: λ of the ridge users, tried for heads.
        k: cutoff.
        max_users: users asked in a fold, sampled by the seed.
        say: told what is being tried.
        alone_lambdas: λ tried for the base vectors alone; None: the same.

    Returns:
        The best, without item weights; ties go to what was tried first: the base vectors, smaller shares, powers and λ.
    """
    exams = [exam for held in folds if (exam := cold_exam(shop, held, params.seed, max_users))]
    alone = lambdas if alone_lambdas is None else alone_lambdas
    if not exams:
        return Recipe(None, 0.0, alone[len(alone) // 2], None, {})
    tried: dict[_Choice, list[tuple[float, float]]] = {}
    for number, exam in enumerate(exams, 1):
        if len(exams) > 1:
            say(f"validation: fold {number} of {len(exams)}")
        for choice, mark in _examine(shop, exam, params, lambdas, alone, k, say):
            tried.setdefault(choice, []).append((mark.ndcg, mark.recall))
    means = {choice: np.mean(marks, axis=0).round(6) for choice, marks in tried.items()}
    alone_ndcg = max(float(marks[0]) for (share, _, _), marks in means.items() if share is None)
    allowed = [choice for choice in means if choice[0] is None or means[choice][0] >= alone_ndcg]
    best = max(allowed, key=lambda choice: float(means[choice].sum()))  # the first of equals
    ndcg = {choice: float(marks[0]) for choice, marks in means.items()}
    return Recipe(*best, ndcg[best], {_name(choice): one for choice, one in ndcg.items()})


def choose_item_weights(
    shop: Shop,
    held: NDArray[np.int64],
    recipe: Recipe,
    params: FusionParams,
    alone_lambda: float,
    k: int,
    max_users: int,
    say: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """Which item weights are to order lists beside a chosen head, if any.

    Judged by lists that a shop shows: of warm items, by held-out clicks, and of warm and held-out items together. Lists
    of held-out items alone stay as they are. First the λ is chosen by warm lists, then power and lift: the best has the
    largest mean over both lists of ndcg@k + recall@5k, among those that rank the tail of the warm items hardly worse
    than profiles alone and the encoder alone do; where none does, it is the one that ranks the tail best. A base that
    was fine-tuned has seen the held-out clicks, though never the held-out items: then both flatter the text a little.

    Args:
        shop: the whole training side.
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
    exam = mixed_exam(shop, held, params.seed, max_users)
    ground = survey(exam.rest, params) if exam else None
    if exam is None or ground is None:
        return recipe
    say("validation: learning a head for item weights")
    learned = learn(ground, recipe.lexical_share, params)
    stretch_D = learned.directions.stretch(recipe.metric_power)
    warm_WD, held_HD = (
        profiles(coordinates(shop, ground, learned, rows), stretch_D) for rows in (exam.warm, exam.held)
    )
    together = met_together(exam.rest, warm_WD, recipe.ridge_lambda, params)
    if together is None:
        return recipe
    marks = _weighed(exam, together, warm_WD, held_HD, recipe, params, k, say)
    alone = marks[NO_WEIGHTS]
    base_WL, base_HL = shop.vectors_IL[exam.warm], shop.vectors_IL[exam.held]
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
    exam: Exam,
    together: Together,
    warm_WD: NDArray[np.float32],
    held_HD: NDArray[np.float32],
    recipe: Recipe,
    params: FusionParams,
    k: int,
    say: Callable[[str], None],
) -> dict[_Weighted, Mapping[str, Mark]]:
    """What was tried, with its marks: no weights, every λ, and every power and lift of the best λ."""
    made = {}
    for one in params.ease_lambdas:
        say(f"validation: item weights with λ = {one:g}")
        made[one] = item_weights(together, one, params.weights_per_item)
    ways: dict[_Weighted, Way] = {NO_WEIGHTS: (recipe.ridge_lambda, None)}
    ways |= {(one, 0.0, 1.0): (recipe.ridge_lambda, weights) for one, weights in made.items()}
    marks: dict[_Weighted, Mapping[str, Mark]] = dict(exam.marks(warm_WD, held_HD, ways, k))
    by_warm = {one: marks[one, 0.0, 1.0].get(WARM, Mark(0, 0)).sum for one in made}
    best = max(by_warm, key=lambda one: by_warm[one])  # the first of equals
    balances = [(power, lift) for power in params.popularity_powers for lift in params.lifts]
    further: dict[_Weighted, Way] = {
        (best, power, lift): (recipe.ridge_lambda, balanced(made[best], together, power, lift))
        for power, lift in balances
        if (power, lift) != (0.0, 1.0)
    }
    say(f"validation: {len(further)} balances of item weights with λ = {best:g}")
    marks |= exam.marks(warm_WD, held_HD, further, k)
    return {one: lists for one, lists in marks.items() if one == NO_WEIGHTS or one[1:] in balances}


def _tail(lists: Mapping[str, Mark]) -> float:
    """Ndcg of the items met least; the same everywhere if nobody can be asked for them."""
    return lists[TAIL].ndcg if TAIL in lists else 0.0


def _shown(lists: Mapping[str, Mark]) -> Mark:
    """The mean over the lists that a shop shows."""
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


def _name(choice: _Choice) -> str:
    share, power, ridge_lambda = choice
    return f"{ALONE if share is None else f'words {share:g}, power {power:g}'}, λ {ridge_lambda:g}"


def _examine(
    shop: Shop,
    exam: Exam,
    params: FusionParams,
    lambdas: Sequence[float],
    alone_lambdas: Sequence[float],
    k: int,
    say: Callable[[str], None],
) -> Iterator[tuple[_Choice, Mark]]:
    """Every choice with its mark on the held-out items."""
    by_itself = {one: (one, None) for one in alone_lambdas}
    alone = exam.marks(shop.vectors_IL[exam.warm], shop.vectors_IL[exam.held], by_itself, k)
    for one, lists in alone.items():
        yield (None, 0.0, one), lists[COLD]
    ground = survey(exam.rest, params) if params.width else None
    if ground is None:
        return
    for share in params.lexical_shares:
        say(f"validation: learning a head with {share:.0%} words")
        learned = learn(ground, share, params)
        warm_WD, held_HD = (coordinates(shop, ground, learned, rows) for rows in (exam.warm, exam.held))
        for power in params.metric_powers:
            stretch_D = learned.directions.stretch(power)
            made = [profiles(some_ND, stretch_D) for some_ND in (warm_WD, held_HD)]
            for one, lists in exam.marks(made[0], made[1], {one: (one, None) for one in lambdas}, k).items():
                yield (share, power, one), lists[COLD]
