"""Slices of the holdout: cold items (no interaction before the cut) and warm ones, each with its own candidates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.evaluation.holdout import Holdout
from recsys.evaluation.ranking import PAD

# Shape suffixes: U users, R padded relevant items, E padded excluded items.
SLICES = ("cold", "warm")


@dataclass(frozen=True)
class Slice:
    """One question to all models: rank these candidates for these users."""

    name: str
    candidates: NDArray[np.int64]
    """Item rows, ascending: all judged items of the slice."""
    users: NDArray[np.int64]
    """User rows with something relevant among the candidates."""
    relevant_UR: NDArray[np.int64]
    """Item rows that they met after the cut; PAD on the right."""
    exclude_UE: NDArray[np.int64]
    """Item rows that they had met before; PAD on the right."""


def slice_of(holdout: Holdout, name: str, max_users: int, seed: int) -> Slice:
    """Cut one slice; where there are more test users than `max_users`, a seeded sample of them.

    Args:
        holdout: the whole.
        name: cold or warm.
        max_users: largest number of users.
        seed: of the sample.

    Returns:
        The slice; without users where nobody met such an item after the cut.
    """
    candidates = holdout.candidates(name)
    relevant_UI = holdout.test_UI[:, candidates].tocsr()
    users = np.flatnonzero(np.diff(relevant_UI.indptr))
    if len(users) > max_users:
        users = np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
    seen_UI = holdout.known.histories_UI[:, candidates].tocsr()
    return Slice(
        name,
        candidates,
        users,
        _padded(relevant_UI[users], candidates),
        _padded(seen_UI[users], candidates),
    )


def _padded(matrix_UC: csr_array, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns that are set in each row, as item rows; PAD on the right."""
    matrix_UC.sort_indices()
    n_U = np.diff(matrix_UC.indptr)
    padded_UR = np.full((len(n_U), max(1, int(n_U.max(initial=0)))), PAD, np.int64)
    padded_UR[np.arange(padded_UR.shape[1]) < n_U[:, None]] = candidates[matrix_UC.indices]
    return padded_UR
