"""Ranking tasks: candidates to rank for users. Validation, judging and baselines all rank through this module."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD, padded, sample
from recsys.dataset.interactions import Interactions
from recsys.ranking.recommender import Recommender
from recsys.retrieval.exact import Candidates, best_of

# Shape suffixes: U users, B users of a block, I items, C candidates, K list length, R padded relevant items,
# E padded excluded items.
BLOCK_SCORES = 1 << 23
"""Scores in memory at once (32 MB of float32)."""
CANDIDATES_AT_ONCE = 1 << 15
"""More candidates are scored piece by piece for the same users. Else there would be the fewer users in a block the more
candidates there are, and every block would gather the vectors of all of them: quadratic time."""
Choice = TypeVar("Choice", bound=Hashable)


class Scorer(Protocol):
    """Scores users against items, after learning from a dataset."""

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """Rows of the items that it learned from, by text, profile or interactions; for the leak report."""

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """Score each candidate for each user.

        Args:
            users: user rows.
            candidates: item rows.

        Returns:
            scores_UC, finite. A score depends on no other user that is scored. It depends on no other candidate either,
            unless a second ranker scores the best of them again (`Recommender.second`).
        """


@dataclass(frozen=True)
class RankingTask:
    """Candidates to rank for users. The users' held-out interactions are relevant."""

    name: str
    candidates: NDArray[np.int64]
    """Item rows; of equal scores the earlier one wins."""
    users: NDArray[np.int64]
    """User rows, ascending; each has something relevant."""
    relevant_UR: NDArray[np.int64]
    """Item rows among the candidates; PAD on the right."""
    excluded_UE: NDArray[np.int64]
    """Item rows that the user interacted with and must not get; PAD on the right."""


def make_task(
    name: str,
    candidates: NDArray[np.int64],
    known: Interactions,
    held_UI: csr_array,
    max_users: int,
    seed: int | np.random.Generator,
) -> RankingTask:
    """Make the task for users with a history and something held out.

    Args:
        name: of the task.
        candidates: item rows.
        known: interactions to learn from; these items are excluded for their users.
        held_UI: 1 where an interaction was held out.
        max_users: the most users; a sample where there are more.
        seed: of the sample, or a generator that continues.

    Returns:
        The task; it has no users where nobody with a history has a held-out candidate.
    """
    held_UC = csr_array(held_UI[:, candidates])
    users = np.flatnonzero((known.n_items_U > 0) & (np.diff(held_UC.indptr) > 0))
    users = sample(users, max_users, seed)
    known_UC = csr_array(known.matrix_UI[users])[:, candidates]
    relevant_UR, excluded_UE = (_rows(csr_array(one), candidates) for one in (held_UC[users], known_UC))
    return RankingTask(name, candidates, users, relevant_UR, excluded_UE)


def rank(
    scorer: Scorer,
    users: NDArray[np.int64],
    candidates: NDArray[np.int64],
    k: int,
    excluded_UE: NDArray[np.int64] | None = None,
) -> Candidates:
    """Score all candidates for every user and keep the best.

    Args:
        scorer: scores users against items.
        users: user rows, U of them.
        candidates: item rows; of equal scores the earlier one wins.
        k: length of the lists.
        excluded_UE: item rows that a user must not get; PAD on the right.

    Returns:
        Candidates whose rows are item rows.
    """
    columns_UE = None if excluded_UE is None else _columns(excluded_UE, candidates)
    # A second ranker scores the best of all candidates again, so it has to see all of them.
    needs_all = isinstance(scorer, Recommender) and scorer.second is not None
    size = max(1, len(candidates) if needs_all else min(len(candidates), CANDIDATES_AT_ONCE))
    found = []
    for part in _blocks(users, size):
        best = None
        for start in range(0, max(1, len(candidates)), size):
            piece = candidates[start : start + size]
            own_BE = None if columns_UE is None else _within(columns_UE[part], start, len(piece))
            scores_BC = scorer.scores(users[part], piece)
            if best is None:
                best = _best_items(scores_BC, piece, k, own_BE)
            else:
                best = _better(best, _above(scores_BC, piece, best.scores_UK[:, -1:], own_BE), k)
        if best is not None:
            found.append(best)
    return _joined(found)


def rank_each(
    task: RankingTask,
    scores_of: Callable[[NDArray[np.int64]], Iterable[tuple[Choice, NDArray[np.floating]]]],
    k: int,
) -> dict[Choice, NDArray[np.int64]]:
    """Rank by several choices at once, so that they can share work on a block of users.

    Args:
        task: the task.
        scores_of: user rows -> choices with their scores_BC, the same choices for every block.
        k: length of the lists.

    Returns:
        Choice -> ranked_UK, item rows, PAD where a list is short.
    """
    columns_UE = _columns(task.excluded_UE, task.candidates)
    found: dict[Choice, list[Candidates]] = {}
    for part in _blocks(task.users, len(task.candidates)):
        for choice, scores_BC in scores_of(task.users[part]):
            best = _best_items(scores_BC, task.candidates, k, columns_UE[part])
            found.setdefault(choice, []).append(best)
    return {choice: _joined(some).rows_UK for choice, some in found.items()}


def _best_items(
    scores_BC: NDArray[np.floating],
    candidates: NDArray[np.int64],
    k: int,
    own_BE: NDArray[np.int64] | None,
) -> Candidates:
    """The k best candidates of some users, as item rows; `own_BE` are places of candidates that must not appear."""
    best = best_of(scores_BC, k, own_BE)
    return Candidates(np.where(best.rows_UK == PAD, PAD, candidates[best.rows_UK]), best.scores_UK)


def _above(
    scores_BC: NDArray[np.floating],
    candidates: NDArray[np.int64],
    least_B1: NDArray[np.float32],
    own_BE: NDArray[np.int64] | None,
) -> Candidates:
    """Candidates that score more than the worst of a list so far, in their order; PAD on the right.

    Of a piece in random order they are few, and finding them takes a tenth of what finding the best of a piece does.
    """
    scores_BC = np.asarray(scores_BC, np.float32)
    if np.isnan(scores_BC.min(initial=np.inf)):
        raise ValueError("a score is NaN")
    is_above_BC = scores_BC > least_B1
    if own_BE is not None:
        user_R, place_R = np.nonzero(own_BE != PAD)
        is_above_BC[user_R, own_BE[user_R, place_R]] = False
    user_A, place_A = np.nonzero(is_above_BC)
    n_B = np.bincount(user_A, minlength=len(scores_BC))
    column_A = np.arange(len(user_A)) - np.repeat(np.cumsum(n_B) - n_B, n_B)
    shape = len(scores_BC), int(n_B.max(initial=0))
    rows_BA, found_BA = np.full(shape, PAD, np.int64), np.full(shape, -np.inf, np.float32)
    rows_BA[user_A, column_A] = candidates[place_A]
    found_BA[user_A, column_A] = scores_BC[user_A, place_A]
    return Candidates(rows_BA, found_BA)


def _better(first: Candidates, second: Candidates, k: int) -> Candidates:
    """The k best of two lists for each user; of equal scores the first list's, whose candidates come earlier."""
    rows_UL = np.concatenate([first.rows_UK, second.rows_UK], axis=1)
    scores_UL = np.concatenate([first.scores_UK, second.scores_UK], axis=1)
    order_UK = np.argsort(-scores_UL, axis=1, kind="stable")[:, :k]
    return Candidates(
        np.take_along_axis(rows_UL, order_UK, axis=1), np.take_along_axis(scores_UL, order_UK, axis=1)
    )


def _joined(blocks: Sequence[Candidates]) -> Candidates:
    """Lists of blocks of users, one after the other."""
    return Candidates(
        np.concatenate([one.rows_UK for one in blocks]), np.concatenate([one.scores_UK for one in blocks])
    )


def _blocks(users: NDArray[np.int64], n_candidates: int) -> Iterator[slice]:
    """Slices of users whose scores fit into memory; one empty slice where there are no users."""
    size = max(1, BLOCK_SCORES // max(1, n_candidates))
    yield from (slice(start, start + size) for start in range(0, max(1, len(users)), size))


def _within(places_BE: NDArray[np.int64], start: int, n: int) -> NDArray[np.int64]:
    """Places among `n` candidates from `start` on; PAD for others."""
    return np.where((places_BE >= start) & (places_BE < start + n), places_BE - start, PAD)


def _columns(items_UE: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of item rows among the candidates; PAD for other items."""
    n_items = max(int(items_UE.max(initial=PAD)), int(candidates.max(initial=PAD))) + 2
    place_I = np.full(n_items, PAD, np.int64)  # index -1, the last place, stays PAD
    place_I[candidates] = np.arange(len(candidates))
    return place_I[items_UE]


def _rows(matrix_UC: csr_array, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns that are set in each row, as item rows; PAD on the right."""
    matrix_UC.sort_indices()
    places_UR = padded(matrix_UC)
    return np.where(places_UR == PAD, PAD, candidates[places_UR])
