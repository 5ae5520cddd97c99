"""Candidate generation as judging sees it: one Protocol, and one full ranking that all recallers share."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD
from recsys.retrieval.exact import Candidates, best_of

# Shape suffixes: U users, I items, C candidates, K list length, D dimension, E padded excluded items.
BLOCK_SCORES = 1 << 23
"""Scores held at once (32 MB of float32)."""


class Recaller(Protocol):
    """A way to find candidates, learned from `Dataset` by the function that RECALLERS names."""

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """Rows of the items whose text, profile or interactions entered a statistic; the leak report reads it."""

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """How well each candidate suits each user.

        Args:
            users: rows of `histories_UI`.
            candidates: item rows.

        Returns:
            scores_UC, finite; the same whatever other users or candidates are asked for beside.
        """


def recall(
    recaller: Recaller,
    users: NDArray[np.int64],
    candidates: NDArray[np.int64],
    k: int,
    exclude_UE: NDArray[np.int64] | None = None,
) -> Candidates:
    """Rank all candidates for every user and keep the best.

    Args:
        recaller: scores users against items.
        users: user rows, U of them.
        candidates: item rows, ascending; ties go to the smaller one.
        k: length of the lists.
        exclude_UE: item rows that must not appear for a user, such as those met before; PAD on the right.

    Returns:
        Candidates whose rows are item rows.
    """
    rows_UK = np.full((len(users), k), PAD, np.int64)
    scores_UK = np.full((len(users), k), -np.inf, np.float32)
    block = max(1, BLOCK_SCORES // max(1, len(candidates)))
    for start in range(0, len(users), block):
        part = slice(start, start + block)
        columns = None if exclude_UE is None else _columns(exclude_UE[part], candidates)
        best = best_of(recaller.scores(users[part], candidates), k, columns)
        rows_UK[part] = np.where(best.rows_UK == PAD, PAD, candidates[best.rows_UK])
        scores_UK[part] = best.scores_UK
    return Candidates(rows_UK, scores_UK)


def _columns(items_UE: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of item rows among the ascending candidates; PAD for those that are none."""
    place_UE = np.minimum(np.searchsorted(candidates, items_UE), len(candidates) - 1)
    return np.where(candidates[place_UE] == items_UE, place_UE, PAD)
