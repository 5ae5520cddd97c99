"""A mixed list of the known interactions' own: pairs and items are held out, to choose by what the rest teaches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import PAD, sample
from recsys.retrieval.exact import best_of

# Shape suffixes: U users, C candidates, K list length, I items, W warm items, P pairs.
Choice = TypeVar("Choice")
FOLDS = 5
"""One warm item in so many is held out cold: all its interactions."""
SEVERAL = 3
ONE_FROM = 5000
"""Warm items from which one practice is enough."""
PAIR_SHARE = 0.2
"""Of the pairs with the other items, held out warm."""
K = 20
MAX_USERS = 1000
MIN_USERS = 10
"""With fewer there is nothing to choose by."""
MAX_SCORES = 1 << 24
"""Users times candidates, at most: bounds memory."""


@dataclass(frozen=True)
class Practice:
    """What may be learned from, and the lists that are asked for."""

    known: Dataset
    """Without what is held out; same rows."""
    users: NDArray[np.int64]
    """User rows that still have a history and are asked for something held out."""
    candidates: NDArray[np.int64]
    """Item rows, ascending: all that were warm, those held out cold among them."""
    met_UC: NDArray[np.bool_]
    """What they have met and must not be shown."""
    wanted_UC: NDArray[np.bool_]
    """What was held out of their history."""

    def ndcg(self, scores_UC: NDArray[np.floating]) -> float:
        """Mean ndcg@20 of lists over all candidates that a user has not met, warm and cold ones together."""
        ranked_UK = best_of(np.where(self.met_UC, -np.inf, scores_UC), K).rows_UK
        hits_UK = np.take_along_axis(self.wanted_UC, np.maximum(ranked_UK, 0), axis=1) & (ranked_UK != PAD)
        discount_K = 1 / np.log2(np.arange(K) + 2)
        n_best_U = np.minimum(K, self.wanted_UC.sum(axis=1))
        return float((hits_UK @ discount_K / np.cumsum(discount_K)[n_best_U - 1]).mean())


def practices(known: Dataset) -> tuple[Practice, ...]:
    """Hold out a fifth of the warm items and a fifth of the pairs with the others, drawn by the seed.

    Of every five items that were met about as often one is held out, so that the cold items of a practice are as
    popular as the warm ones. Where few are warm there are several practices, each with other items.

    Where the vectors were made by an encoder that these interactions trained, it knows the items that are held out
    here: then cold items look better than they will be.

    Args:
        known: interactions from before the cut.

    Returns:
        None at all where too few users would be asked.
    """
    rng = np.random.default_rng([known.seed, 1])
    by_met = known.warm[np.argsort(-known.interactions.n_users_I[known.warm], kind="stable")]
    fold_W = np.concatenate([rng.permutation(FOLDS) for _ in range(0, len(by_met), FOLDS)] or [by_met])
    n_folds = 1 if len(by_met) >= ONE_FROM else SEVERAL
    found = (_practice(known, by_met[fold_W[: len(by_met)] == fold], rng) for fold in range(n_folds))
    return tuple(one for one in found if one is not None)


def choose(asked: Sequence[Practice], tried: Callable[[Practice], Iterator[tuple[Choice, float]]]) -> Choice:
    """What has the best mean over all practices; of equals what was tried first.

    Args:
        asked: one practice or more.
        tried: gives every choice with its mark, always the same choices in the same order.

    Returns:
        The choice.
    """
    marks: dict[Choice, float] = {}
    for practice in asked:
        for choice, mark in tried(practice):
            marks[choice] = marks.get(choice, 0.0) + mark
    return max(marks, key=lambda choice: marks[choice])


def _practice(known: Dataset, cold: NDArray[np.int64], rng: np.random.Generator) -> Practice | None:
    warm = known.warm
    item_P = known.interactions.matrix_UI.indices
    held_P = np.isin(item_P, cold) | (rng.random(len(item_P)) < PAIR_SHARE)
    rest = known.interactions.only_pairs(~held_P)
    rest_UI, held_UI = rest.matrix_UI, known.interactions.only_pairs(held_P).matrix_UI
    users = np.flatnonzero((np.diff(rest_UI.indptr) > 0) & (np.diff(held_UI.indptr) > 0))
    if len(users) < MIN_USERS:
        return None
    n_asked = max(MIN_USERS, min(MAX_USERS, MAX_SCORES // len(warm)))
    users = sample(users, n_asked, rng)
    return Practice(
        replace(known, interactions=rest),
        users,
        warm,
        rest_UI[users][:, warm].toarray() > 0,
        held_UI[users][:, warm].toarray() > 0,
    )
