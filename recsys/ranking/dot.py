"""Ranker `dot`: the exact inner product decides the order of the candidates."""

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: U users, K list length, I items, D dimension.
PAD = -1


def rank_by_dot(
    queries_UD: NDArray[np.float32], rows_UK: NDArray[np.int64], vectors_ID: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Order each user's candidates by inner product, the smaller row first among equals.

    Args:
        queries_UD: user profiles.
        rows_UK: candidate rows of `vectors_ID`, no repeats in a row; PAD where the list is short.
        vectors_ID: item profiles.

    Returns:
        rows_UK, best first, PAD last; and their scores, -inf under PAD.
    """
    scores_UK = np.einsum("ud,ukd->uk", queries_UD, vectors_ID[np.maximum(rows_UK, 0)])
    scores_UK = np.where(rows_UK == PAD, -np.inf, scores_UK).astype(np.float32)
    order_UK = np.lexsort((rows_UK, -scores_UK), axis=1)
    return np.take_along_axis(rows_UK, order_UK, axis=1), np.take_along_axis(scores_UK, order_UK, axis=1)
