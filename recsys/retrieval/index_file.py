"""Open index files of faiss and search them (`index_building.py` makes them). No other module imports faiss.

A file may come from a store that others can write to. faiss (from 1.15) checks sizes and the neighbours of a graph when
it reads; `index_checks.py` has the rest. faiss itself may have faults, so sign releases (`publishing/signing.py`) where
others can write to the store.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.retrieval.coarseness import COPIES, SIGNS, Coarseness
from recsys.retrieval.index_checks import (
    SIGN_GRAPH,
    require_graph,
    require_head,
    require_lists,
    require_sign_graph,
)
from recsys.retrieval.params import WIDEST_SEARCH
from recsys.retrieval.rotation import rotated
from recsys.retrieval.sign_graph import Compared, ScoresOf, SignGraph

# Shape suffixes: Q queries, D dimension, N vectors of one segment.


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

    def look_ahead(self, queries_QD: NDArray[np.float32]) -> None:
        """Prepare for searches that follow, see `SignGraph.look_ahead`."""
        if self._is_signs and self._signs.compares_all:
            # One by one: what is rotated is kept for the searches that follow.
            turned = [self._turned(query_D[None]) for query_D in queries_QD]
            with one_thread(load_faiss()):
                self._signs.look_ahead(np.concatenate(turned))

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
        self,
        queries_QD: NDArray[np.float32],
        k: int,
        width: int,
        is_allowed_N: NDArray[np.bool_],
        scores_of: Sequence[ScoresOf] = (),
    ) -> list[Compared]:
        """Compare queries with all allowed rows.

        Args:
            queries_QD: one vector per query.
            k: how many are wanted.
            width: how many are listed; more where by signs alone more may be among the k best.
            is_allowed_N: mask of the segment's rows.
            scores_of: see `SignGraph.scan`.

        Returns:
            Rows of each query, best first by the file's vectors; fewer than `width` where there are no more.
        """
        if self._is_signs:
            return self._signs.scan(self._turned(queries_QD), k, width, is_allowed_N, scores_of)
        faiss = load_faiss()
        selector = faiss.IDSelectorBitmap(np.packbits(is_allowed_N, bitorder="little"))
        with _no_team(faiss, queries_QD):
            if self._is_graph:
                params = faiss.SearchParameters(sel=selector)
                _, rows_QK = self._storage.search(self._turned(queries_QD), width, params=params)
            else:
                params = faiss.SearchParametersIVF(nprobe=self._index.nlist, sel=selector)
                _, rows_QK = self._index.search(queries_QD, width, params=params)
        return [Compared(rows_K[rows_K >= 0]) for rows_K in rows_QK]

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
        return bool(is_coded and self._storage.sq.qtype in uniform_quantisers(faiss).values())

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


def uniform_quantisers(faiss: Any) -> dict[int, int]:  # noqa: ANN401  untyped library
    """Quantisers with one step for all dimensions, which is how rotated vectors are stored, by bits per number."""
    return {4: faiss.ScalarQuantizer.QT_4bit_uniform, 8: faiss.ScalarQuantizer.QT_8bit_uniform}


@cache
def load_faiss() -> Any:  # noqa: ANN401  untyped library
    """Import faiss, which logs how it was built unless it is told to be silent."""
    logging.getLogger("faiss").setLevel(logging.WARNING)
    import faiss

    return faiss
