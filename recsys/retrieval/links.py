"""Links between near vectors: the lowest level of a graph that a search walks along.

In every overlapping cell (`cells.py`) the neighbours of each vector are found exactly, by one matrix product, and those
that another neighbour stands in front of are left out. A vector links to the nearest of what its cells found, and back
from those that link to it. Then equal vectors are attached to each other, and what no path reaches is linked.

Work is shared between threads by fixed cells and blocks, with one thread inside each matrix product, and is put
together in their order. So the same vectors give the same links whatever the number of threads.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from recsys.progress import Progress
from recsys.retrieval.cells import OVERLAPS, overlapping_cells
from recsys.retrieval.repair import attach_equal, connect, first_of_equal

# Shape suffixes: N vectors, D dimension, S vectors of a cell, T nearest ones, K kept ones, L links, B rows of a block.
NONE = -1
"""Fills rows with fewer links, on the right."""
NEAREST = 32
"""Neighbours in a cell among which those to keep are chosen."""
KEPT = 12
"""Neighbours that are kept per cell."""
DOMINANCE = 1.1
"""A neighbour is left out where its squared distance to a nearer, kept one, times this, is below that to the vector."""
OUTWARD_SHARE = 0.75
"""Share of its links that a vector chooses itself; the others are chosen by their other end."""
RESERVED = 2
"""Links left free: one for a vector that no path reaches, one for an equal vector."""
BLOCK_ROWS = 16384


@contextmanager
def workers(threads: int | None) -> Iterator[Executor]:
    """Threads for `linked`, with one thread inside each matrix product.

    Args:
        threads: how many; None: as many as this process has processors.

    Yields:
        The pool.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        yield pool


def linked(
    vectors_ND: NDArray[np.float32], entry: int, n_links: int, seed: int, pool: Executor, title: str
) -> NDArray[np.int32]:
    """Link vectors so that a walk from `entry` along links reaches every one of them.

    Args:
        vectors_ND: unit rows; may be memory-mapped.
        entry: the row where each search begins.
        n_links: links per vector, at least 16.
        seed: of the cells.
        pool: made by `workers`.
        title: for progress.

    Returns:
        links_NL, rows of other vectors, nearest first where a vector chose them; NONE on the right.
    """
    first_N = first_of_equal(vectors_ND)
    cells = overlapping_cells(vectors_ND, np.flatnonzero(first_N == np.arange(len(first_N))), seed, pool)
    outward_NK = _outward(vectors_ND, cells, round(OUTWARD_SHARE * n_links), pool, title)
    links_NL = _both_ways(outward_NK, n_links, pool)
    attach_equal(links_NL, first_N)
    connect(vectors_ND, links_NL, cells, entry)
    return links_NL


def _outward(
    vectors_ND: NDArray[np.float32], cells: list[NDArray[np.int64]], n_kept: int, pool: Executor, title: str
) -> NDArray[np.int32]:
    """The nearest `n_kept` of the neighbours that each vector's cells keep, [N, n_kept]."""
    n, most = len(vectors_ND), int(np.prod(OVERLAPS)) * KEPT
    found_NM = np.full((n, most), NONE, np.int32)
    scores_NM = np.full((n, most), -np.inf, np.float32)
    n_found_N = np.zeros(n, np.int64)
    with Progress(title, sum(map(len, cells))) as progress:
        kept = pool.map(lambda cell: neighbours(vectors_ND[cell]), cells)
        for cell, (places_SK, scores_SK) in zip(cells, kept, strict=True):
            columns_SK = n_found_N[cell][:, None] + np.arange(places_SK.shape[1])
            found_NM[cell[:, None], columns_SK] = np.where(places_SK == NONE, NONE, cell[places_SK])
            scores_NM[cell[:, None], columns_SK] = scores_SK
            n_found_N[cell] += places_SK.shape[1]
            progress.advance(len(cell))

    def nearest(start: int) -> NDArray[np.int32]:
        part = slice(start, start + BLOCK_ROWS)
        return _nearest(found_NM[part], scores_NM[part], n_kept)

    return np.concatenate(list(pool.map(nearest, range(0, n, BLOCK_ROWS))))


def neighbours(vectors_SD: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Near vectors of one cell in different directions, for each of its vectors.

    Args:
        vectors_SD: unit rows.

    Returns:
        places_SK, nearest first, NONE on the right; and their inner products, -inf under NONE. K is at most KEPT.

    Source: Malkov and Yashunin 2020, TPAMI 42(4), algorithm 4; DOMINANCE as in DiskANN.
    """
    n_nearest = min(NEAREST, len(vectors_SD) - 1)
    if n_nearest < 1:
        return np.empty((len(vectors_SD), 0), np.int64), np.empty((len(vectors_SD), 0), np.float32)
    scores_SS = vectors_SD @ vectors_SD.T
    np.fill_diagonal(scores_SS, -np.inf)
    places_ST = np.argpartition(-scores_SS, n_nearest - 1, axis=1)[:, :n_nearest]
    scores_ST = np.take_along_axis(scores_SS, places_ST, axis=1)
    order_ST = np.argsort(-scores_ST, axis=1, kind="stable")
    places_ST = np.take_along_axis(places_ST, order_ST, axis=1)
    scores_ST = np.take_along_axis(scores_ST, order_ST, axis=1)
    between_STT = scores_SS[places_ST[:, :, None], places_ST[:, None, :]]
    is_kept_ST = _not_dominated(scores_ST, between_STT)
    return _to_the_left(places_ST, scores_ST, is_kept_ST)


def _not_dominated(scores_ST: NDArray[np.float32], between_STT: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which neighbours have no nearer, kept one in front of them; at most KEPT per row."""
    is_kept_ST = np.zeros(scores_ST.shape, np.bool_)
    is_free_ST = np.ones(scores_ST.shape, np.bool_)
    n_kept_S = np.zeros(len(scores_ST), np.int64)
    for place in range(scores_ST.shape[1]):
        is_kept_ST[:, place] = is_free_ST[:, place] & (n_kept_S < KEPT)
        n_kept_S += is_kept_ST[:, place]
        is_behind_ST = (1 - between_STT[:, place]) * np.float32(DOMINANCE) < 1 - scores_ST
        is_free_ST &= ~(is_behind_ST & is_kept_ST[:, place, None])
    return is_kept_ST


def _to_the_left(
    places_ST: NDArray[np.int64], scores_ST: NDArray[np.float32], is_kept_ST: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    order_SK = np.argsort(~is_kept_ST, axis=1, kind="stable")[:, :KEPT]
    is_kept_SK = np.take_along_axis(is_kept_ST, order_SK, axis=1)
    places_SK = np.where(is_kept_SK, np.take_along_axis(places_ST, order_SK, axis=1), NONE)
    scores_SK = np.where(is_kept_SK, np.take_along_axis(scores_ST, order_SK, axis=1), np.float32(-np.inf))
    return places_SK, scores_SK


def _nearest(found_BM: NDArray[np.int32], scores_BM: NDArray[np.float32], n_kept: int) -> NDArray[np.int32]:
    """The best `n_kept` of each row without repeats; of equal scores the smaller row wins."""
    by_row_BM = np.argsort(found_BM, axis=1, kind="stable")
    found_BM = np.take_along_axis(found_BM, by_row_BM, axis=1)
    scores_BM = np.take_along_axis(scores_BM, by_row_BM, axis=1)
    scores_BM[:, 1:][found_BM[:, 1:] == found_BM[:, :-1]] = -np.inf
    best_BK = np.argsort(-scores_BM, axis=1, kind="stable")[:, :n_kept]
    is_real_BK = np.take_along_axis(scores_BM, best_BK, axis=1) > -np.inf
    return np.where(is_real_BK, np.take_along_axis(found_BM, best_BK, axis=1), np.int32(NONE))


def _both_ways(outward_NK: NDArray[np.int32], n_links: int, pool: Executor) -> NDArray[np.int32]:
    """Links to those a vector chose, then from those that chose it, those to whom it is nearest first."""
    n, n_kept = outward_NK.shape
    room = n_links - RESERVED
    is_link_NK = outward_NK != NONE
    ends_E = outward_NK[is_link_NK]
    starts_E = np.repeat(np.arange(n, dtype=np.int32), is_link_NK.sum(axis=1))
    ranks_E = np.broadcast_to(np.arange(n_kept), outward_NK.shape)[is_link_NK]
    order_E = np.argsort(ends_E.astype(np.int64) * n_kept + ranks_E, kind="stable")
    ends_E, starts_E = ends_E[order_E], starts_E[order_E]
    places_E = np.arange(len(ends_E)) - np.searchsorted(ends_E, np.arange(n))[ends_E]
    is_early_E = places_E < room
    inward_NL = np.full((n, room), NONE, np.int32)
    inward_NL[ends_E[is_early_E], places_E[is_early_E]] = starts_E[is_early_E]

    def joined(start: int) -> NDArray[np.int32]:
        part = slice(start, start + BLOCK_ROWS)
        return _without_repeats(np.concatenate([outward_NK[part], inward_NL[part]], axis=1), n_links, room)

    return np.concatenate(list(pool.map(joined, range(0, n, BLOCK_ROWS))))


def _without_repeats(links_BM: NDArray[np.int32], n_links: int, room: int) -> NDArray[np.int32]:
    """The first `room` different links of each row, in their order, filled to `n_links`."""
    order_BM = np.argsort(links_BM, axis=1, kind="stable")
    sorted_BM = np.take_along_axis(links_BM, order_BM, axis=1)
    is_new_BM = sorted_BM != NONE
    is_new_BM[:, 1:] &= sorted_BM[:, 1:] != sorted_BM[:, :-1]
    is_first_BM = np.empty_like(is_new_BM)
    np.put_along_axis(is_first_BM, order_BM, is_new_BM, axis=1)
    left_BL = np.argsort(~is_first_BM, axis=1, kind="stable")[:, :room]
    kept_BL = np.take_along_axis(np.where(is_first_BM, links_BM, np.int32(NONE)), left_BL, axis=1)
    missing = n_links - kept_BL.shape[1]
    return np.pad(kept_BL, ((0, 0), (0, missing)), constant_values=NONE)
