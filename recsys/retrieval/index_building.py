"""Build the index file of a segment (`coarseness.py` says which kind, `index_file.py` searches it).

A file holds a graph over a segment's vectors (`graph.py`), and for each of them what a walk along it compares: one bit
per number of the rotated vector where they are wide and have little in common (`signs.py`), else a copy in 4 bits per
number, or in 8 where they are narrow. So a file has a tenth to a fifth of the vectors' own size, more where they are
narrow. Releases from before hold a graph over copies in 4 bits of any wide vectors, or in 8 bits that are not rotated,
or HNSW or IVF over plain float32 vectors, which are all still opened.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.coarseness import by_signs
from recsys.retrieval.graph import Graph, build_graph
from recsys.retrieval.index_checks import SIGN_GRAPH
from recsys.retrieval.index_file import load_faiss, uniform_quantisers
from recsys.retrieval.params import FOUR_BITS_FROM, IndexParams
from recsys.retrieval.rotation import rotated
from recsys.retrieval.signs import BITS, n_bytes, signs_of

# Shape suffixes: D dimension, N vectors of one segment.
INDEX_VERSION = 6
"""Part of every index key. Raise it when the same vectors and params would give another file."""
SPREAD = {4: 3.0, 8: 5.0}
"""Bits per number -> the largest number that a copy can hold, times √d: standard deviations of a rotated unit vector's
numbers. What is beyond is cut off; a wider range would round the others more."""
ROWS_AT_ONCE = 16_384
"""Vectors that are rotated together; bounds memory."""


def build_index(
    vectors_ND: NDArray[np.float32], params: IndexParams, path: Path, threads: int | None = None
) -> None:
    """Build the index file of one segment. The same vectors and params give the same bytes.

    Args:
        vectors_ND: the segment's live vectors, unit rows; may be memory-mapped.
        params: section `index`; the width of the search is stored in the file.
        path: the file to write.
        threads: how many work; None: as many as there are processors. The bytes do not depend on it.
    """
    faiss = load_faiss()
    plain_ND = np.ascontiguousarray(vectors_ND, dtype=np.float32)
    graph = build_graph(plain_ND, params.links, params.seed, threads)
    is_signs = by_signs(plain_ND)
    index = (_over_signs if is_signs else _over_copies)(faiss, plain_ND, params.links)
    _lay_graph(faiss, graph, index.hnsw)
    index.hnsw.efSearch = params.search_width
    (faiss.write_index_binary if is_signs else faiss.write_index)(index, str(path))


def _over_signs(faiss: Any, vectors_ND: NDArray[np.float32], n_links: int) -> Any:  # noqa: ANN401  untyped library
    """An index of the vectors' signs, without links."""
    n, dim = vectors_ND.shape
    index = faiss.IndexBinaryHNSW(BITS * n_bytes(dim), n_links // 2)
    storage = faiss.downcast_IndexBinary(index.storage)
    for start in range(0, n, ROWS_AT_ONCE):
        storage.add(signs_of(rotated(vectors_ND[start : start + ROWS_AT_ONCE])))
    index.ntotal = n
    return index


def _over_copies(faiss: Any, vectors_ND: NDArray[np.float32], n_links: int) -> Any:  # noqa: ANN401  untyped library
    """An index of copies in 4 or 8 bits per number, without links."""
    n, dim = vectors_ND.shape
    bits = 4 if dim >= FOUR_BITS_FROM else 8
    index = faiss.IndexHNSWSQ(dim, uniform_quantisers(faiss)[bits], n_links // 2, faiss.METRIC_INNER_PRODUCT)
    storage = faiss.downcast_index(index.storage)
    lowest_and_range = np.array([-1, 2], np.float32) * np.float32(SPREAD[bits] / np.sqrt(dim))
    faiss.copy_array_to_vector(lowest_and_range, storage.sq.trained)
    index.is_trained = storage.is_trained = True
    for start in range(0, n, ROWS_AT_ONCE):
        storage.add(rotated(vectors_ND[start : start + ROWS_AT_ONCE]))
    index.ntotal = n
    return index


def _lay_graph(faiss: Any, graph: Graph, target: Any) -> None:  # noqa: ANN401  untyped library
    for values, vector in (
        (np.array(graph.widths, np.int32), target.cum_nneighbor_per_level),
        (graph.levels_N, target.levels),
        (graph.offsets, target.offsets),
        (graph.neighbours, target.neighbors),
    ):
        faiss.copy_array_to_vector(values, vector)
    target.entry_point, target.max_level = graph.entry, len(graph.widths) - 2


def set_search_width(path: Path, width: int) -> None:
    """Let searches of a graph keep more rows in view than its file says, or fewer.

    Args:
        path: a file of `build_index`; it is written again.
        width: rows, at least 1.
    """
    faiss = load_faiss()
    with path.open("rb") as file:
        is_signs = file.read(len(SIGN_GRAPH)) == SIGN_GRAPH
    index = (faiss.read_index_binary if is_signs else faiss.read_index)(str(path))
    index.hnsw.efSearch = width
    (faiss.write_index_binary if is_signs else faiss.write_index)(index, str(path))
