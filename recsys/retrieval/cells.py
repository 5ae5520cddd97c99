"""Overlapping cells of near vectors, in which neighbours are then found exactly.

Two levels of spherical k-means: each vector goes into its three nearest coarse cells, and in each of them into its two
nearest fine ones. So a vector at the edge of one cell lies well inside another. A fine cell that is too large is
divided again.

Source: Subramanya et al. 2019, DiskANN (NeurIPS): a graph per overlapping cell, merged.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from itertools import chain
from math import ceil, prod, sqrt

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N vectors, D dimension, R rows that are divided, C centres, B rows of a block.
OVERLAPS = (3, 2)
"""Into how many cells of each level a vector goes."""
CELL_SIZE = 1000
"""Vectors of a fine cell, in the mean. Time grows with it; smaller cells miss more neighbours."""
MAX_CELL_SIZE = 3000
"""A larger cell is divided again; bounds the memory of a worker."""
MOST_DIVISIONS = 20
"""A cell that is still too large after so many is cut into equal parts: k-means only ever splits a few rows off."""
SAMPLES_PER_CENTRE = 50
ROUNDS = 5
"""Rounds of k-means."""
BLOCK_ROWS = 8192


def overlapping_cells(
    vectors_ND: NDArray[np.float32], rows_R: NDArray[np.int64], seed: int, workers: Executor
) -> list[NDArray[np.int64]]:
    """Divide vectors into overlapping cells. The result does not depend on the number of workers.

    Args:
        vectors_ND: unit rows; may be memory-mapped.
        rows_R: the rows to divide, ascending.
        seed: of the samples and of the first centres.
        workers: threads.

    Returns:
        Ascending rows of every cell. Each row is in one cell at least, and in at most six.
    """
    if len(rows_R) <= MAX_CELL_SIZE:
        return [rows_R]
    n_coarse = max(OVERLAPS[0] + 1, ceil(sqrt(len(rows_R) * prod(OVERLAPS) / CELL_SIZE)))
    coarse = _divided(vectors_ND, rows_R, n_coarse, OVERLAPS[0], seed, workers.map)
    tasks = enumerate(coarse, start=seed + 1)
    return list(chain.from_iterable(workers.map(lambda task: list(_fine(vectors_ND, *task)), tasks)))


def _fine(
    vectors_ND: NDArray[np.float32], seed: int, rows_R: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    if len(rows_R) <= MAX_CELL_SIZE:
        yield rows_R
        return
    n_fine = max(OVERLAPS[1] + 1, ceil(len(rows_R) * OVERLAPS[1] / CELL_SIZE))
    for cell in _divided(vectors_ND, rows_R, n_fine, OVERLAPS[1], seed):
        yield from _small(vectors_ND, cell, seed)


def _small(
    vectors_ND: NDArray[np.float32], rows_R: NDArray[np.int64], seed: int, n_divisions: int = 0
) -> Iterator[NDArray[np.int64]]:
    """A cell, or disjoint parts of a large one."""
    if len(rows_R) <= MAX_CELL_SIZE:
        yield rows_R
        return
    parts = [rows_R]
    if n_divisions < MOST_DIVISIONS:
        parts = _divided(vectors_ND, rows_R, ceil(len(rows_R) / CELL_SIZE), 1, seed)
    if max(map(len, parts)) == len(rows_R):  # vectors that k-means can't tell apart
        parts = np.array_split(rows_R, ceil(len(rows_R) / MAX_CELL_SIZE))
    for part in parts:
        yield from _small(vectors_ND, part, seed, n_divisions + 1)


def _divided(
    vectors_ND: NDArray[np.float32],
    rows_R: NDArray[np.int64],
    n: int,
    overlap: int,
    seed: int,
    mapped: Callable[..., Iterator[NDArray[np.int64]]] = map,
) -> list[NDArray[np.int64]]:
    """Put each row into its `overlap` nearest of n cells; empty cells are left out."""
    centres_CD = _centres(vectors_ND, rows_R, n, seed)

    def nearest(start: int) -> NDArray[np.int64]:
        scores_BC = vectors_ND[rows_R[start : start + BLOCK_ROWS]] @ centres_CD.T
        return np.argpartition(-scores_BC, overlap - 1, axis=1)[:, :overlap]

    cells = np.concatenate(list(mapped(nearest, range(0, len(rows_R), BLOCK_ROWS)))).ravel()
    order = np.argsort(cells, kind="stable")
    sizes = np.bincount(cells, minlength=n)
    members = np.split(np.repeat(rows_R, overlap)[order], np.cumsum(sizes)[:-1])
    return [one for one in members if len(one)]


def _centres(
    vectors_ND: NDArray[np.float32], rows_R: NDArray[np.int64], n: int, seed: int
) -> NDArray[np.float32]:
    """Unit centres of spherical k-means over a sample; a centre that nothing is near to stays where it was."""
    rng = np.random.default_rng(seed)
    n_sampled = min(len(rows_R), n * SAMPLES_PER_CENTRE)
    sample_SD = vectors_ND[np.sort(rng.choice(rows_R, n_sampled, replace=False))]
    centres_CD: NDArray[np.float32] = sample_SD[np.sort(rng.choice(n_sampled, n, replace=False))]
    for _ in range(ROUNDS):
        cell_S = (sample_SD @ centres_CD.T).argmax(axis=1)
        order_S = np.argsort(cell_S, kind="stable")
        taken, starts = np.unique(cell_S[order_S], return_index=True)
        sums_CD: NDArray[np.float32] = np.add.reduceat(sample_SD[order_S], starts)
        lengths_C1 = np.linalg.norm(sums_CD, axis=1, keepdims=True)
        centres_CD[taken] = np.divide(sums_CD, lengths_C1, out=centres_CD[taken], where=lengths_C1 > 0)
    return centres_CD
