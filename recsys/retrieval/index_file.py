"""Index files of faiss: build and open them (`coarseness.py` says which kind). No other module imports faiss.

A file holds a graph over a segment's vectors (`graph.py`), and for each of them what a walk along it compares: one bit
per number of the rotated vector where they are wide and have little in common (`signs.py`), else a copy in 4 bits per
number, or in 8 where they are narrow. So a file has a tenth to a fifth of the vectors' own size, more where they are
narrow. Releases from before hold a graph over copies in 4 bits of any wide vectors, or in 8 bits that are not rotated,
or HNSW or IVF over plain float32 vectors, which are all still opened.

A file may come from a store that others can write to. faiss (from 1.15) checks sizes and the neighbours of a graph when
it reads; `index_checks.py` has the rest. faiss itself may have faults, so sign releases (`publishing/signing.py`) where
others can write to the store.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.retrieval.coarseness import COPIES, SIGNS, Coarseness, by_signs
from recsys.retrieval.graph import Graph, build_graph
from recsys.retrieval.index_checks import (
    SIGN_GRAPH,
    require_graph,
    require_head,
    require_lists,
    require_sign_graph,
)
from recsys.retrieval.params import FOUR_BITS_FROM, WIDEST_SEARCH, IndexParams
from recsys.retrieval.rotation import rotated
from recsys.retrieval.sign_graph import ScoresOf, SignGraph
from recsys.retrieval.signs import BITS, n_bytes, signs_of

# Shape suffixes: Q queries, D dimension, N vectors of one segment.
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
    index = faiss.IndexHNSWSQ(dim, _uniform(faiss)[bits], n_links // 2, faiss.METRIC_INNER_PRODUCT)
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


def _uniform(faiss: Any) -> dict[int, int]:  # noqa: ANN401  untyped library
    """Quantisers with one step for all dimensions, which is how rotated vectors are stored, by bits per number."""
    return {4: faiss.ScalarQuantizer.QT_4bit_uniform, 8: faiss.ScalarQuantizer.QT_8bit_uniform}


class IndexFile:
    """One faiss file, memory-mapped.

    Args:
        path: the file.
        n: number of vectors of its segment.
        dim: their width.

    Raises:
        ReleaseError: it is not an index of that many vectors of that width, or is not consistent.
    """

    def __init__(self, path: Path, n: int, dim: int) -> None:
        faiss = load_faiss()
        try:
            self._is_signs = require_head(path, n, dim) == SIGN_GRAPH
            read = faiss.read_index_binary if self._is_signs else faiss.read_index
            self._index = read(str(path), faiss.IO_FLAG_MMAP_IFC)
            self._is_graph = self._is_signs or isinstance(self._index, faiss.IndexHNSW)
            if self._is_signs:
                require_sign_graph(faiss, self._index, n, dim)
            elif self._is_graph:
                require_graph(faiss, self._index, n, dim)
            else:
                require_lists(faiss, self._index, n, dim)
        except (RuntimeError, ValueError, MemoryError) as error:  # faiss raises RuntimeError
            raise ReleaseError(
                f"{path} is not an index of {n} vectors of width {dim}: {error}",
                remedy="open another release, or delete artifacts/index, run dvc repro index and publish again",
            ) from error

    @property
    def coarseness(self) -> Coarseness:
        """How far the order of `search` and `scan` is from the true one."""
        return SIGNS if self._is_signs else COPIES

    def search(self, queries_QD: NDArray[np.float32], width: int, viewed: int = 0) -> NDArray[np.int64]:
        """Find near rows.

        Args:
            queries_QD: the queries.
            width: length of the lists.
            viewed: rows that a walk keeps in view, though never fewer than `width`; 0: as many as the file says.

        Returns:
            Rows, best first by the file's vectors; -1 where the index found no more: [Q, width].
        """
        faiss, viewed = load_faiss(), max(viewed or self.search_width, width)
        if self._is_signs:
            with _no_team(faiss, queries_QD):
                return self._signs.search(self._turned(queries_QD), width, viewed)
        if self._is_graph:
            params = faiss.SearchParametersHNSW(efSearch=viewed)
        else:
            params = faiss.SearchParametersIVF(nprobe=self._index.nprobe)
        _, rows_QK = self._index.search(self._turned(queries_QD), width, params=params)
        found: NDArray[np.int64] = rows_QK
        return found

    def scan(
        self, queries_QD: NDArray[np.float32], k: int, width: int, is_allowed_N: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Compare queries with all allowed rows.

        Args:
            queries_QD: one vector per query.
            k: how many are wanted.
            width: how many are listed; more where by signs alone more may be among the k best.
            is_allowed_N: mask of the segment's rows.

        Returns:
            Rows, best first by the file's vectors, -1 on the right: [Q, at least width].
        """
        if self._is_signs:
            return self._signs.scan(self._turned(queries_QD), k, width, is_allowed_N)
        faiss = load_faiss()
        with _no_team(faiss, queries_QD):
            return self._scanned(faiss, queries_QD, width, is_allowed_N)

    def _scanned(
        self,
        faiss: Any,  # noqa: ANN401  untyped library
        queries_QD: NDArray[np.float32],
        width: int,
        is_allowed_N: NDArray[np.bool_],
    ) -> NDArray[np.int64]:
        bits = np.packbits(is_allowed_N, bitorder="little")
        selector = faiss.IDSelectorBitmap(bits)
        if self._is_graph:
            params = faiss.SearchParameters(sel=selector)
            _, rows_QK = self._storage.search(self._turned(queries_QD), width, params=params)
        else:
            params = faiss.SearchParametersIVF(nprobe=self._index.nlist, sel=selector)
            _, rows_QK = self._index.search(queries_QD, width, params=params)
        found: NDArray[np.int64] = rows_QK
        return found

    def shortlist(
        self,
        query_D: NDArray[np.float32],
        rows_R: NDArray[np.int64],
        k: int,
        sure: int,
        scores_of: ScoresOf | None = None,
    ) -> NDArray[np.bool_]:
        """Which of some rows are worth scoring by their vectors, to find the k best.

        Args:
            query_D: the query.
            rows_R: in the order in which `search` or `scan` gave them.
            k: how many are wanted.
            sure: how many of them must be the best.
            scores_of: see `SignGraph.shortlist`.

        Returns:
            A mask, [R].
        """
        if self._is_signs:
            return self._signs.shortlist(self._turned(query_D[None])[0], rows_R, k, sure, scores_of)
        return np.arange(len(rows_R)) < COPIES.n_viewed(k)

    def estimates(
        self, query_D: NDArray[np.float32], rows_R: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], float] | None:
        """Inner products with some rows as far as signs tell, see `SignGraph.estimates`; None: there are none."""
        return self._signs.estimates(self._turned(query_D[None])[0], rows_R) if self._is_signs else None

    def _turned(self, queries_QD: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries as the file's vectors are."""
        return rotated(queries_QD) if self._is_rotated else queries_QD

    @cached_property
    def search_width(self) -> int:
        """Rows that a search of the graph keeps in view; 0 for lists. Older files may ask for more than is allowed."""
        return min(int(self._index.hnsw.efSearch), WIDEST_SEARCH) if self._is_graph else 0

    @cached_property
    def _is_rotated(self) -> bool:
        """Whether its vectors are."""
        if self._is_signs:
            return True
        faiss = load_faiss()
        is_coded = self._is_graph and isinstance(self._storage, faiss.IndexScalarQuantizer)
        return bool(is_coded and self._storage.sq.qtype in _uniform(faiss).values())

    @cached_property
    def _storage(self) -> Any:  # noqa: ANN401  untyped library
        return load_faiss().downcast_index(self._index.storage)

    @cached_property
    def _signs(self) -> SignGraph:
        return SignGraph(load_faiss(), self._index)


def _no_team(faiss: Any, queries_QD: NDArray[np.float32]) -> Any:  # noqa: ANN401  a context
    """Of a single query: `one_thread`."""
    return one_thread(faiss) if len(queries_QD) == 1 else nullcontext()


@contextmanager
def one_thread(faiss: Any) -> Iterator[None]:  # noqa: ANN401  untyped library
    """Let this thread start no team of OpenMP: a single query gains nothing by one.

    GNU's OpenMP is lost after a fork where there was a team before: what uses it there waits for ever. So the process
    that opens a release for its workers must have none, see `serving/service/workers.py`.
    """
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@cache
def load_faiss() -> Any:  # noqa: ANN401  untyped library
    """Import faiss, which logs how it was built unless it is told to be silent."""
    logging.getLogger("faiss").setLevel(logging.WARNING)
    import faiss

    return faiss
