"""A graph of several levels over vectors, as a search by HNSW walks down and along it.

On the lowest level every vector is linked to near ones (`links.py`). Each further level holds about one vector in
LEVEL_RATIO of the level below, linked in the same way, so that a search comes near its goal in a few long steps.

Source: Malkov and Yashunin 2020, TPAMI 42(4), for the levels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.links import NONE, linked, workers

# Shape suffixes: N vectors, D dimension, L links of the lowest level.
LEVEL_RATIO = 32
MAX_LEVELS = 6


@dataclass(frozen=True)
class Graph:
    """Links of all levels, laid out as faiss does."""

    levels_N: NDArray[np.int32]
    """Number of levels that a vector is on, at least 1."""
    offsets: NDArray[np.uint64]
    """[N + 1], where each vector's links begin in `neighbours`: those of the lowest level, then those above."""
    neighbours: NDArray[np.int32]
    """Rows; NONE fills the places of each level on the right."""
    widths: tuple[int, ...]
    """Places of a vector on the lowest level, on that and the next one, and so on; begins with 0."""
    entry: int
    """A row of the highest level, where each search begins."""


def build_graph(
    vectors_ND: NDArray[np.float32], n_links: int, seed: int, threads: int | None = None
) -> Graph:
    """Build a graph in which a walk from the entry reaches every vector on its lowest level.

    Args:
        vectors_ND: unit rows; may be memory-mapped.
        n_links: links per vector on the lowest level; half as many on the others.
        seed: of the levels and of the cells.
        threads: how many work; None: as many as there are processors. The graph is the same.

    Returns:
        The graph.
    """
    n = len(vectors_ND)
    levels_N = _levels(n, seed)
    entry = int(levels_N.argmax())
    widths = tuple(np.cumsum([0, n_links, *[n_links // 2] * (levels_N.max() - 1)]).tolist())
    offsets = np.concatenate([[0], np.cumsum(np.array(widths)[levels_N])])
    neighbours = np.full(offsets[-1], NONE, np.int32)
    with workers(threads) as pool:
        for level, (first, last) in enumerate(zip(widths, widths[1:], strict=False)):
            rows = np.flatnonzero(levels_N > level)
            above = vectors_ND if level == 0 else np.ascontiguousarray(vectors_ND[rows])
            start = int(np.searchsorted(rows, entry))
            links = linked(above, start, last - first, seed, pool, f"links of level {level}")
            _lay(neighbours, offsets[rows] + first, rows, links)
    return Graph(levels_N, offsets.astype(np.uint64), neighbours, widths, entry)


def _levels(n: int, seed: int) -> NDArray[np.int32]:
    draws_N = np.random.default_rng(seed).random(n)
    above_N = np.floor(-np.log(1 - draws_N) / np.log(LEVEL_RATIO)).astype(np.int32)
    levels_N: NDArray[np.int32] = np.minimum(1 + above_N, np.int32(MAX_LEVELS))
    return levels_N


def _lay(
    neighbours: NDArray[np.int32],
    starts: NDArray[np.int64],
    rows: NDArray[np.int64],
    links: NDArray[np.int32],
) -> None:
    """Write links between places of `rows` to where each row's links of this level begin."""
    for column in range(links.shape[1]):
        ends = links[:, column]
        neighbours[starts + column] = np.where(ends == NONE, np.int32(NONE), rows[ends].astype(np.int32))
