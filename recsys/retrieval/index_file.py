"""Index files of faiss: build, check and open them. No other module imports faiss.

A file holds copies of a segment's vectors, rotated (`rotation.py`) and in 4 bits per number (8 where they are narrow),
and a graph over them (`graph.py`): an eighth of the vectors' own size, and a little. Releases from before hold a graph
over copies in 8 bits that are not rotated, or HNSW or IVF over plain float32 vectors, which are all still opened.

A file may come from a store that others can write to. faiss (from 1.15) checks sizes and the neighbours of a graph when
it reads. The rest is checked here before a search: that the file belongs to this segment and is of a known kind, the
levels of neighbours, and the rows in lists. faiss itself may have faults, so sign releases (`publishing/signing.py`)
where others can write to the store.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.retrieval.graph import build_graph
from recsys.retrieval.params import FOUR_BITS_FROM, WIDEST_SEARCH, IndexParams
from recsys.retrieval.rotation import rotated

# Shape suffixes: Q queries, D dimension, N vectors of one segment.
INDEX_VERSION = 3
"""Part of every index key. Raise it when the same vectors and params would give another file."""
LEAST_BYTES_PER_NUMBER = {b"IHNs": 0.5, b"IHNf": 4, b"IwFl": 4}
"""First bytes of a file -> least bytes per number of a vector: a graph over copies, HNSW and IVF over plain vectors."""
SPREAD = {4: 3.0, 8: 5.0}
"""Bits per number -> the largest number that a copy can hold, times √d: standard deviations of a rotated unit vector's
numbers. What is beyond is cut off; a wider range would round the others more."""
ROWS_AT_ONCE = 16_384
"""Vectors that are rotated together; bounds memory."""
INNER_PRODUCT = 0
HEAD = np.dtype(
    [("kind", "S4"), ("dim", "<i4"), ("n", "<i8"), ("_", "<i8", 2), ("trained", "?"), ("metric", "<i4")]
)


def index_kind(n: int, params: IndexParams) -> Literal["exact", "compact"]:
    """How a segment of `n` vectors is searched; a graph needs one vector."""
    return "exact" if n < max(1, params.exact_below) else "compact"


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
    n, dim = plain_ND.shape
    bits = 4 if dim >= FOUR_BITS_FROM else 8
    index = faiss.IndexHNSWSQ(dim, _uniform(faiss)[bits], params.links // 2, faiss.METRIC_INNER_PRODUCT)
    storage = faiss.downcast_index(index.storage)
    lowest_and_range = np.array([-1, 2], np.float32) * np.float32(SPREAD[bits] / np.sqrt(dim))
    faiss.copy_array_to_vector(lowest_and_range, storage.sq.trained)
    index.is_trained = storage.is_trained = True
    for start in range(0, n, ROWS_AT_ONCE):
        storage.add(rotated(plain_ND[start : start + ROWS_AT_ONCE]))
    index.ntotal = n
    found = index.hnsw
    for values, target in (
        (np.array(graph.widths, np.int32), found.cum_nneighbor_per_level),
        (graph.levels_N, found.levels),
        (graph.offsets, found.offsets),
        (graph.neighbours, found.neighbors),
    ):
        faiss.copy_array_to_vector(values, target)
    found.entry_point, found.max_level = graph.entry, len(graph.widths) - 2
    found.efSearch = params.search_width
    faiss.write_index(index, str(path))


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
            _require_head(path, n, dim)
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            self._is_graph = isinstance(self._index, faiss.IndexHNSW)
            if self._is_graph:
                _require_graph(faiss, self._index, n, dim)
            else:
                _require_lists(faiss, self._index, n, dim)
        except (RuntimeError, ValueError, MemoryError) as error:  # faiss raises RuntimeError
            raise ReleaseError(
                f"{path} is not an index of {n} vectors of width {dim}: {error}",
                remedy="open another release, or delete artifacts/index, run dvc repro index and publish again",
            ) from error

    def search(self, queries_QD: NDArray[np.float32], width: int) -> NDArray[np.int64]:
        """Near rows, best first by the file's vectors; -1 where the index found no more: [Q, width]."""
        faiss = load_faiss()
        if self._is_graph:
            params = faiss.SearchParametersHNSW(efSearch=max(self.search_width, width))
        else:
            params = faiss.SearchParametersIVF(nprobe=self._index.nprobe)
        _, rows_QK = self._index.search(self._turned(queries_QD), width, params=params)
        found: NDArray[np.int64] = rows_QK
        return found

    def scan(
        self, queries_QD: NDArray[np.float32], width: int, is_allowed_N: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Compare queries with all allowed rows; best first by the file's vectors, -1 on the right: [Q, width]."""
        faiss = load_faiss()
        with one_thread(faiss) if len(queries_QD) == 1 else nullcontext():
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

    def _turned(self, queries_QD: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries as the file's vectors are."""
        return rotated(queries_QD) if self._is_rotated else queries_QD

    @property
    def search_width(self) -> int:
        """Rows that a search of the graph keeps in view; 0 for lists. Older files may ask for more than is allowed."""
        return min(int(self._index.hnsw.efSearch), WIDEST_SEARCH) if self._is_graph else 0

    @cached_property
    def _is_rotated(self) -> bool:
        """Whether its vectors are."""
        faiss = load_faiss()
        is_coded = self._is_graph and isinstance(self._storage, faiss.IndexScalarQuantizer)
        return bool(is_coded and self._storage.sq.qtype in _uniform(faiss).values())

    @cached_property
    def _storage(self) -> Any:  # noqa: ANN401  untyped library
        return load_faiss().downcast_index(self._index.storage)


def _require_head(path: Path, n: int, dim: int) -> None:
    """Check, before faiss reads the file, its kind, size and metric, and that it is long enough for the vectors."""
    with path.open("rb") as file:
        content = file.read(HEAD.itemsize)
    if len(content) < HEAD.itemsize:
        raise ValueError("the file is too short")
    head = np.frombuffer(content, HEAD)[0]
    if head["kind"] not in LEAST_BYTES_PER_NUMBER or head["metric"] != INNER_PRODUCT:
        raise ValueError(f"kind {head['kind']!r}, metric {head['metric']}")
    if (head["n"], head["dim"]) != (n, dim):
        raise ValueError(f"it has {head['n']} vectors of width {head['dim']}")
    if path.stat().st_size < n * dim * LEAST_BYTES_PER_NUMBER[head["kind"]]:
        raise ValueError("the file is shorter than its vectors")


def _require_graph(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
    """Check what faiss does not: a neighbour on an upper level must be on that level, else foreign memory is read."""
    graph, storage = index.hnsw, faiss.downcast_index(index.storage)
    if not _holds_vectors(faiss, storage) or (storage.ntotal, storage.d) != (n, dim):
        raise ValueError("its vectors are stored in another way")
    levels_N = faiss.vector_to_array(graph.levels)
    offsets = faiss.vector_to_array(graph.offsets).astype(np.int64)
    widths = faiss.vector_to_array(graph.cum_nneighbor_per_level).astype(np.int64)
    neighbours = faiss.rev_swig_ptr(graph.neighbors.data(), graph.neighbors.size())  # not a copy
    if len(levels_N) != n or not 0 <= graph.entry_point < n or graph.max_level != levels_N.max() - 1:
        raise ValueError("its entry is none of its vectors")
    if graph.efSearch < 1:
        raise ValueError(f"its search keeps {graph.efSearch} rows in view")
    for level in range(1, graph.max_level + 1):  # few nodes are above the lowest level
        nodes = np.flatnonzero(levels_N > level)
        found = neighbours[offsets[nodes][:, None] + np.arange(widths[level], widths[level + 1])]
        if (levels_N[found[found >= 0]] <= level).any():
            raise ValueError("a neighbour is not on its level")


def _holds_vectors(faiss: Any, storage: Any) -> bool:  # noqa: ANN401  untyped library
    """Whether vectors are stored as Firstlight does: plainly, in 8 bits per number, or in 4."""
    if isinstance(storage, faiss.IndexScalarQuantizer):
        quantizer, dim = storage.sq, storage.d
        n_trained, n_bytes = {
            quantizer.QT_8bit: (2 * dim, dim),
            quantizer.QT_8bit_uniform: (2, dim),
            quantizer.QT_4bit_uniform: (2, (dim + 1) // 2),
        }.get(quantizer.qtype, (0, 0))
        is_whole = storage.codes.size() == storage.ntotal * n_bytes
        is_ours = (quantizer.d, quantizer.trained.size(), quantizer.code_size) == (dim, n_trained, n_bytes)
        return bool(n_bytes and is_whole and is_ours and storage.code_size == n_bytes)
    return isinstance(storage, faiss.IndexFlat)


def _require_lists(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
    """Check that every row of every list is a vector of the segment, and that the lists are in the file itself."""
    if not isinstance(index, faiss.IndexIVFFlat):
        raise ValueError("it is an index of another kind")
    cells, lists = faiss.downcast_index(index.quantizer), faiss.downcast_InvertedLists(index.invlists)
    if not isinstance(cells, faiss.IndexFlat) or (cells.ntotal, cells.d) != (index.nlist, dim):
        raise ValueError("its cells are stored in another way")
    if isinstance(lists, faiss.OnDiskInvertedLists) or lists.nlist != index.nlist:
        raise ValueError("its lists are in another file")
    if lists.code_size != dim * LEAST_BYTES_PER_NUMBER[b"IwFl"] or not 1 <= index.nprobe <= index.nlist:
        raise ValueError("its vectors have another width, or it visits no list")
    sizes = [lists.list_size(one) for one in range(lists.nlist)]
    if sum(sizes) != n:
        raise ValueError(f"its lists hold {sum(sizes)} vectors")
    for one, size in enumerate(sizes):
        rows = faiss.rev_swig_ptr(lists.get_ids(one), size)
        if size and (rows.min() < 0 or rows.max() >= n):
            raise ValueError("a list holds a row that is not in the segment")


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
