"""Parts of a matrix of who met what: pairs, columns, and lists padded to one width."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Shape suffixes: U users, I items, R padded items.
PAD = -1
"""Fills rows that are shorter than others."""


def only_pairs(histories_UI: csr_array, kept: NDArray[np.bool_]) -> csr_array:
    """The same shape with some of the stored pairs.

    Args:
        histories_UI: a value where a user met an item.
        kept: for each stored pair, in the matrix's order.

    Returns:
        A matrix of its own.
    """
    users = np.repeat(np.arange(histories_UI.shape[0]), np.diff(histories_UI.indptr))
    places = (users[kept], histories_UI.indices[kept])
    return csr_array((histories_UI.data[kept], places), shape=histories_UI.shape)


def only_items(histories_UI: csr_array, kept_I: NDArray[np.bool_]) -> csr_array:
    """The same shape with the pairs of some items."""
    return only_pairs(histories_UI, kept_I[histories_UI.indices])


def padded(histories_UI: csr_array) -> NDArray[np.int64]:
    """Each user's item rows as rows_UR, PAD on the right."""
    n_U = np.diff(histories_UI.indptr)
    rows_UR = np.full((len(n_U), int(n_U.max(initial=1))), PAD, np.int64)
    rows_UR[np.arange(rows_UR.shape[1]) < n_U[:, None]] = histories_UI.indices
    return rows_UR
