"""Exact search: every inner product is computed. The recall of indexes is measured against it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD

# Shape suffixes: U users, T of them with ties, I items, K list length, D dimension, E padded excluded items.
BLOCK_SCORES = 1 << 24
"""Scores in memory at once (64 MB of float32)."""


@dataclass(frozen=True)
class Candidates:
    """The best items for each query."""

    rows_UK: NDArray[np.int64]
    """Item rows, best first, no repeats; PAD where the list is short."""
    scores_UK: NDArray[np.float32]
    """Their scores; -inf under PAD."""


def top_k(
    queries_UD: NDArray[np.float32],
    vectors_ID: NDArray[np.float32],
    k: int,
    exclude: NDArray[np.int64] | None = None,
) -> Candidates:
    """Find the k items with the largest inner products for every query; of equal ones the smaller row wins.

    Args:
        queries_UD: queries, such as user profiles.
        vectors_ID: item profiles.
        k: length of the lists, at least 1.
        exclude: exclude_UE, item rows that must not appear, PAD on the right.

    Returns:
        Candidates with lists of exactly k places.

    Raises:
        ValueError: k is below 1, or widths differ.
    """
    if queries_UD.shape[1] != vectors_ID.shape[1]:
        raise ValueError(f"queries have {queries_UD.shape[1]} dimensions, items {vectors_ID.shape[1]}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    rows_UK = np.full((len(queries_UD), k), PAD, np.int64)
    scores_UK = np.full(rows_UK.shape, -np.inf, np.float32)
    block = max(1, BLOCK_SCORES // max(1, len(vectors_ID)))
    for start in range(0, len(queries_UD), block):
        stop = start + block
        scores_BI = queries_UD[start:stop] @ vectors_ID.T
        best = best_of(scores_BI, k, None if exclude is None else exclude[start:stop])
        rows_UK[start:stop], scores_UK[start:stop] = best.rows_UK, best.scores_UK
    return Candidates(rows_UK, scores_UK)


def best_of(
    scores_UI: NDArray[np.floating], k: int, exclude_UE: NDArray[np.int64] | None = None
) -> Candidates:
    """Find the k best columns of every row of scores; of equal scores the smaller column wins.

    Args:
        scores_UI: finite scores; -inf for columns that must not appear.
        k: length of the lists.
        exclude_UE: columns that must not appear, PAD on the right.

    Returns:
        Candidates with lists of exactly k places.

    Raises:
        ValueError: k is below 1, or a score is NaN.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    scores_UI = np.array(scores_UI, np.float32)  # a copy: excluded places are overwritten
    if np.isnan(scores_UI).any():
        raise ValueError("a score is NaN")
    n_users, n_items = scores_UI.shape
    if exclude_UE is not None:
        user_R, place_R = np.nonzero(exclude_UE != PAD)
        scores_UI[user_R, exclude_UE[user_R, place_R]] = -np.inf
    kept = min(k, n_items)
    rows_UK = np.full((n_users, k), PAD, np.int64)
    scores_UK = np.full((n_users, k), -np.inf, np.float32)
    if kept:
        rows_UK[:, :kept] = _ordered(scores_UI, kept)
        scores_UK[:, :kept] = np.take_along_axis(scores_UI, rows_UK[:, :kept], axis=1)
        rows_UK[np.isneginf(scores_UK)] = PAD
    return Candidates(rows_UK, scores_UK)


def _ordered(scores_UI: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Columns of the k largest scores, in descending order; of equal scores the smaller column first."""
    if k == scores_UI.shape[1]:
        return np.argsort(-scores_UI, axis=1, kind="stable")
    # A partition may choose any of several equal scores at its edge, so it only gives the k-th value.
    edge_U1 = -np.partition(-scores_UI, k - 1, axis=1)[:, k - 1 : k]
    chosen_UI = scores_UI >= edge_U1
    tied = np.flatnonzero(np.count_nonzero(chosen_UI, axis=1) > k)  # few users have equal scores at the edge
    if len(tied):
        scores_TI, edge_T1 = scores_UI[tied], edge_U1[tied]
        above_TI, level_TI = scores_TI > edge_T1, scores_TI == edge_T1
        room_T1 = k - np.count_nonzero(above_TI, axis=1, keepdims=True)
        chosen_UI[tied] = above_TI | (level_TI & (np.cumsum(level_TI, axis=1) <= room_T1))
    columns_UK = np.nonzero(chosen_UI)[1].reshape(len(scores_UI), k)
    order_UK = np.argsort(-np.take_along_axis(scores_UI, columns_UK, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns_UK, order_UK, axis=1)
