"""Exact search over a memory-mapped matrix, block by block, without copying it."""

import numpy as np
from numpy.typing import NDArray

from recsys.storage.arrays import let_go

# Shape suffixes: Q queries, N vectors, D dimension, B rows of a block.
BLOCK_ROWS = 32768
SUMMED_ROWS = 1024
"""Rows that are multiplied in float64 at once; bounds memory where a query is as near to thousands of items."""
# Scores closer than this may swap between float32 sums of different order, so they are compared again in float64.
NOISE = np.float32(1e-5)


def best_places(
    vectors_ND: NDArray[np.float32], rows: NDArray[np.int64], queries: NDArray[np.float32], width: int
) -> list[NDArray[np.int64]]:
    """For each query, places in `rows` (ascending) of the `width` best, and of all that equal the last; unordered."""
    if not len(queries):
        return []
    kept: list[list[NDArray[np.int64]]] = [[] for _ in queries]
    values: list[list[NDArray[np.float32]]] = [[] for _ in queries]
    for start in range(0, len(vectors_ND), BLOCK_ROWS):
        first, last = np.searchsorted(rows, (start, start + BLOCK_ROWS))
        block = vectors_ND[start : start + BLOCK_ROWS]
        scores_QB = _scores(block, rows[first:last] - start, queries)
        for q, scores in enumerate(scores_QB):
            places = _with_ties(scores, width)
            kept[q].append(first + places)
            values[q].append(scores[places])
        if start:  # or all of a large file would count as this process's memory
            let_go(vectors_ND)
    if not len(rows):
        return [np.empty(0, np.int64) for _ in queries]
    return [
        np.concatenate(places)[_with_ties(np.concatenate(scores), width)]
        for places, scores in zip(kept, values, strict=True)
    ]


def row_by_row(vectors_ND: NDArray[np.float32], query_D: NDArray[np.float32]) -> NDArray[np.float64]:
    """Inner products in float64, [N]; row by row, so that equal vectors get equal scores at any place."""
    summed_N, wide_D = np.empty(len(vectors_ND)), query_D.astype(np.float64)
    for start in range(0, len(vectors_ND), SUMMED_ROWS):
        block = slice(start, start + SUMMED_ROWS)
        summed_N[block] = np.multiply(vectors_ND[block], wide_D, dtype=np.float64).sum(axis=1)
    return summed_N


def _scores(
    block_BD: NDArray[np.float32], rows: NDArray[np.int64], queries: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Inner products with some rows of a block. Few rows are gathered first, many are selected afterwards."""
    if len(rows) == len(block_BD):
        return queries @ block_BD.T
    if len(rows) < len(block_BD) / 2:
        return queries @ block_BD[rows].T
    scores: NDArray[np.float32] = (queries @ block_BD.T)[:, rows]
    return scores


def _with_ties(scores: NDArray[np.float32], width: int) -> NDArray[np.int64]:
    """Places of the `width` largest scores and of everything within NOISE of the last of them."""
    if len(scores) <= width:
        return np.arange(len(scores))
    last = np.partition(scores, len(scores) - width)[len(scores) - width]
    return np.flatnonzero(scores >= last - NOISE)
