"""Histories as padded lists of item rows, and samples of rows."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.storage.arrays import rows_of

# Shape suffixes: U users, I items, R padded items.
PAD = -1
"""Fills up shorter rows."""


def padded(matrix_UI: csr_array) -> NDArray[np.int64]:
    """Each user's item rows, rows_UR; PAD on the right."""
    n_U = np.diff(matrix_UI.indptr)
    rows_UR = np.full((len(n_U), int(n_U.max(initial=1))), PAD, np.int64)
    rows_UR[np.arange(rows_UR.shape[1]) < n_U[:, None]] = matrix_UI.indices
    return rows_UR


def sums(histories_UI: csr_array, vectors_ID: NDArray[np.floating]) -> NDArray[np.floating]:
    """Sum the vectors of each user's items: what `histories_UI @ vectors_ID` gives, to the bit.

    Where the types differ, SciPy first converts the vectors of the whole catalogue, whoever the users are. Here only
    those of the users' items are read.

    Args:
        histories_UI: how much each item counts.
        vectors_ID: one row per item; may be mapped.

    Returns:
        sums_UD in the wider of both types.
    """
    items = np.unique(histories_UI.indices)
    if len(items) == len(vectors_ID):
        return np.asarray(histories_UI @ vectors_ID)
    places = np.searchsorted(items, histories_UI.indices)
    shape = (histories_UI.shape[0], len(items))
    return np.asarray(
        csr_array((histories_UI.data, places, histories_UI.indptr), shape) @ rows_of(vectors_ID, items)
    )


def sample(rows: NDArray[np.int64], n: int, seed: int | np.random.Generator) -> NDArray[np.int64]:
    """Sample at most n rows, ascending.

    Args:
        rows: ascending.
        n: the most rows.
        seed: of the sample, or a generator that continues.

    Returns:
        The sample; all rows where there are no more than n.
    """
    if len(rows) <= n:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, n, replace=False))
