"""Ranking tasks: candidates to rank for users. Validation, judging and baselines all rank through this module."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD, padded, sample
from recsys.dataset.interactions import Interactions
from recsys.retrieval.exact import Candidates, best_of

# Shape suffixes: U users, B users of a block, I items, C candidates, K list length, R padded relevant items,
# E padded excluded items.
BLOCK_SCORES = 1 << 23
"""Scores in memory at once (32 MB of float32)."""
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
            scores_UC, finite. A score does not depend on which other users or candidates are scored.
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
    known_UC = csr_array(known.matrix_UI[:, candidates])
    relevant_UR, excluded_UE = (_rows(one[users], candidates) for one in (held_UC, known_UC))
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
    everything = (((None, scorer.scores(users[part], candidates)),) for part in _blocks(users, candidates))
    return _ranked(everything, users, candidates, k, excluded_UE)[None]


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
    blocks = (scores_of(task.users[part]) for part in _blocks(task.users, task.candidates))
    ranked = _ranked(blocks, task.users, task.candidates, k, task.excluded_UE)
    return {choice: found.rows_UK for choice, found in ranked.items()}


def _ranked(
    blocks: Iterable[Iterable[tuple[Choice, NDArray[np.floating]]]],
    users: NDArray[np.int64],
    candidates: NDArray[np.int64],
    k: int,
    excluded_UE: NDArray[np.int64] | None,
) -> dict[Choice, Candidates]:
    columns_UE = None if excluded_UE is None else _columns(excluded_UE, candidates)
    found: dict[Choice, list[Candidates]] = {}
    for part, block in zip(_blocks(users, candidates), blocks, strict=True):
        for choice, scores_BC in block:
            best = best_of(scores_BC, k, None if columns_UE is None else columns_UE[part])
            rows_BK = np.where(best.rows_UK == PAD, PAD, candidates[best.rows_UK])
            found.setdefault(choice, []).append(Candidates(rows_BK, best.scores_UK))
    return {
        choice: Candidates(
            np.concatenate([one.rows_UK for one in some]), np.concatenate([one.scores_UK for one in some])
        )
        for choice, some in found.items()
    }


def _blocks(users: NDArray[np.int64], candidates: NDArray[np.int64]) -> Iterator[slice]:
    """Slices of users whose scores fit into memory; one empty slice where there are no users."""
    size = max(1, BLOCK_SCORES // max(1, len(candidates)))
    yield from (slice(start, start + size) for start in range(0, max(1, len(users)), size))


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
