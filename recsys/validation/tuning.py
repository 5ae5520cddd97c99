"""Validation sets to tune baselines on: items and interactions are held out, and one mixed list is ranked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.ranking.metrics import ndcg_at_k
from recsys.ranking.tasks import make_task, rank_each
from recsys.validation.folds import ONE_FOLD_FROM
from recsys.validation.sets import HELD_PAIRS, MIXED, ValidationSet

# Shape suffixes: U users, C candidates, I items, W warm items, P pairs.
Choice = TypeVar("Choice")
FOLDS = 5
"""One in this many warm items is held out cold, with all of its interactions."""
SEVERAL = 3
K = 20
MAX_USERS = 1000
MIN_USERS = 10
"""With fewer users nothing is tuned."""
MAX_SCORES = 1 << 24
"""The most users times candidates; bounds memory."""


def tuning_sets(dataset: Dataset) -> tuple[ValidationSet, ...]:
    """Hold out a fifth of the warm items, and a fifth of the interactions with the others, at random.

    Of every five items with about the same number of users one is held out, so that a set's cold items are as popular
    as its warm ones. Where few items are warm there are several sets with different cold items. Each set ranks one
    mixed list of all items that were warm.

    An encoder that was trained on these interactions knows the items that are held out here, so cold items look better
    than they are.

    Args:
        dataset: the training side.

    Returns:
        The sets; none where there are too few users.
    """
    rng = np.random.default_rng([dataset.seed, 1])
    n_users_I, warm = dataset.interactions.n_users_I, dataset.warm
    by_users = warm[np.argsort(-n_users_I[warm], kind="stable")]
    fold_W = np.concatenate([rng.permutation(FOLDS) for _ in range(0, len(by_users), FOLDS)] or [by_users])
    n_folds = 1 if len(by_users) >= ONE_FOLD_FROM else SEVERAL
    found = (_tuning_set(dataset, by_users[fold_W[: len(by_users)] == fold], rng) for fold in range(n_folds))
    return tuple(one for one in found if one is not None)


def choose(
    sets: Sequence[ValidationSet], tried: Callable[[ValidationSet], Iterator[tuple[Choice, float]]]
) -> Choice:
    """Choose by the best mean over all sets; of equal choices the first wins.

    Args:
        sets: one or more.
        tried: from a set to choices with their metrics, always the same choices in the same order.

    Returns:
        The choice.
    """
    sums: dict[Choice, float] = {}
    for one in sets:
        for choice, metric in tried(one):
            sums[choice] = sums.get(choice, 0.0) + metric
    return max(sums, key=lambda choice: sums[choice])


def mixed_ndcg(tuning: ValidationSet, scores_UC: NDArray[np.floating]) -> float:
    """Mean ndcg@20 of the mixed lists, given the scores of the task's users and candidates."""
    task = tuning.mixed
    ranked = rank_each(task, lambda users: ((None, scores_UC[np.searchsorted(task.users, users)]),), K)
    return float(ndcg_at_k(ranked[None], task.relevant_UR, K).mean())


def _tuning_set(dataset: Dataset, cold: NDArray[np.int64], rng: np.random.Generator) -> ValidationSet | None:
    whole, warm = dataset.interactions, dataset.warm
    items_P = whole.matrix_UI.indices
    is_held_P = np.isin(items_P, cold) | (rng.random(len(items_P)) < HELD_PAIRS)
    held_UI = whole.only_pairs(is_held_P).matrix_UI
    known = whole.only_pairs(~is_held_P).without(cold)  # nor does it know who dislikes these items
    max_users = max(MIN_USERS, min(MAX_USERS, MAX_SCORES // max(1, len(warm))))
    task = make_task(MIXED, warm, known, held_UI, max_users, rng)
    if len(task.users) < MIN_USERS:
        return None
    return ValidationSet(replace(dataset, interactions=known), cold, {MIXED: task})
