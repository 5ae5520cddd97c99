"""Choose a head by cold starts of the training side's own: words, metric and λ by held-out items, then its memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.fusion.exams import COLD, Exam, Mark, Shop, cold_exam, mixed_exam
from recsys.fusion.heads import ALONE, Recipe, coordinates, learn, profiles, survey
from recsys.fusion.memory import learn_memory
from recsys.fusion.params import FusionParams

_Choice = tuple[float | None, float, float]
"""Lexical share (None: no head), metric power, λ."""


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
        The best, without memory; ties go to what was tried first: the base vectors, smaller shares, powers and λ.
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


def choose_memory(
    shop: Shop,
    held: NDArray[np.int64],
    recipe: Recipe,
    params: FusionParams,
    lambdas: Sequence[float],
    k: int,
    max_users: int,
    say: Callable[[str], None] = lambda _: None,
) -> Recipe:
    """How much of known texts a chosen head is to remember, and with which λ.

    Judged by the lists that a shop shows: held-out items alone, warm ones by held-out clicks, and both mixed. The best
    has the largest mean over the lists of ndcg@k + recall@5k, among those that rank the held-out items no worse than
    the best without memory. A base that was fine-tuned has seen the held-out clicks, though never the held-out items:
    then `warm` and `mixed` flatter the text a little, and memory is chosen rather too small than too large.

    Args:
        shop: the whole training side.
        held: rows of the items that are held out cold.
        recipe: with a head.
        params: section `fusion`.
        lambdas: λ to try.
        k: cutoff.
        max_users: users asked for each list, sampled by the seed.
        say: told what is being tried.

    Returns:
        The recipe with memory, λ and what was tried; unchanged where no weight but 0 is allowed or nobody can be asked.
    """
    if recipe.lexical_share is None or not any(params.memory_weights):
        return recipe
    exam = mixed_exam(shop, held, params.seed, max_users)
    ground = survey(exam.rest, params) if exam else None
    if exam is None or ground is None:
        return recipe
    say("validation: what to remember of known texts")
    learned = learn(ground, recipe.lexical_share, params)
    both = [coordinates(shop, ground, learned, rows) for rows in (exam.warm, exam.held)]
    stretch_D = learned.directions.stretch(recipe.metric_power)
    marks: dict[tuple[float, float], Mapping[str, Mark]] = {}
    for weight in sorted({0.0, *params.memory_weights}):
        memory = learn_memory(exam.rest, ground.landmarks, weight, params)
        made = [
            profiles(some_ND, stretch_D, memory.of([shop.texts[row] for row in rows]) if memory else None)
            for some_ND, rows in zip(both, (exam.warm, exam.held), strict=True)
        ]
        for one, lists in exam.marks(made[0], made[1], lambdas, k).items():
            marks[weight, one] = lists
    plain = max((choice for choice in marks if choice[0] == 0), key=lambda choice: _mean(marks[choice]))
    cold = {choice: lists[COLD].sum for choice, lists in marks.items() if COLD in lists}
    allowed = [choice for choice in marks if not cold or cold[choice] >= cold[plain]]
    weight, chosen = max(allowed, key=lambda choice: _mean(marks[choice]))  # the first of equals
    tried = {f"memory {one:g}, λ {by:g}": _mean_ndcg(lists) for (one, by), lists in marks.items()}
    found = {name: mark.ndcg for name, mark in marks[weight, chosen].items()}
    found |= {f"{name} without memory": mark.ndcg for name, mark in marks[plain].items()}
    tried |= recipe.tried
    return replace(recipe, ridge_lambda=chosen, memory_weight=weight, tried=tried, lists=found)


def _mean(lists: Mapping[str, Mark]) -> float:
    return round(sum(mark.sum for mark in lists.values()) / len(lists), 6)


def _mean_ndcg(lists: Mapping[str, Mark]) -> float:
    return round(sum(mark.ndcg for mark in lists.values()) / len(lists), 6)


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
    alone = exam.marks(shop.vectors_IL[exam.warm], shop.vectors_IL[exam.held], alone_lambdas, k)
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
            made = [profiles(some_ND, stretch_D, None) for some_ND in (warm_WD, held_HD)]
            for one, lists in exam.marks(made[0], made[1], lambdas, k).items():
                yield (share, power, one), lists[COLD]
