"""Index files of faiss: build, check and open them. This is the only module that imports faiss.

A file may come from a store that others can write to. faiss (from 1.15) checks sizes and the neighbours of a graph when
it reads. The rest is checked here before a search: that the file belongs to this segment and is of a kind that
Firstlight builds, the levels of neighbours, and the rows in lists. faiss itself may have faults, so sign releases
(`publishing/signing.py`) where others can write to the store.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.errors import ReleaseError
from recsys.retrieval.params import IndexParams

# Shape suffixes: Q queries, D dimension, N vectors of one segment.
INDEX_VERSION = 1
"""Part of every index key. Raise it when the same vectors and params would give another file."""
KINDS = (b"IHNf", b"IwFl")
"""First bytes of files of HNSW and IVF over plain float32 vectors."""
INNER_PRODUCT = 0
HEAD = np.dtype(
    [("kind", "S4"), ("dim", "<i4"), ("n", "<i8"), ("_", "<i8", 2), ("trained", "?"), ("metric", "<i4")]
)
FLOAT_BYTES = 4


def index_kind(n: int, params: IndexParams) -> Literal["exact", "hnsw", "ivf"]:
    """How a segment of `n` vectors is searched."""
    return "exact" if n < params.exact_below else params.kind


def build_index(vectors_ND: NDArray[np.float32], params: IndexParams) -> bytes | None:
    """Build the index file of one segment. The same vectors and params give the same bytes.

    Args:
        vectors_ND: the segment's live vectors.
        params: section `index`; the settings of the search are stored in the file.

    Returns:
        The file's bytes, or None where the segment is small enough for exact search.
    """
    kind = index_kind(len(vectors_ND), params)
    if kind == "exact":
        return None
    faiss = _faiss()
    dense = np.ascontiguousarray(vectors_ND, dtype=np.float32)
    with _one_thread(faiss):  # several threads would link HNSW's nodes in a random order
        index = _hnsw(faiss, dense, params) if kind == "hnsw" else _ivf(faiss, dense, params)
        content: bytes = faiss.serialize_index(index).tobytes()
    return content


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
        faiss = _faiss()
        try:
            _require_head(path, n, dim)
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            self._is_hnsw = isinstance(self._index, faiss.IndexHNSWFlat)
            if self._is_hnsw:
                _require_graph(faiss, self._index, n, dim)
            else:
                _require_lists(faiss, self._index, n, dim)
        except (RuntimeError, ValueError, MemoryError) as error:  # faiss raises RuntimeError
            raise ReleaseError(
                f"{path} is no index of {n} vectors of width {dim}: {error}",
                remedy="open another release, or delete artifacts/index, run dvc repro index and publish again",
            ) from error

    def search(self, queries: NDArray[np.float32], width: int) -> NDArray[np.int64]:
        """Rows, best first; -1 where the index found no more: [Q, width]."""
        faiss = _faiss()
        if self._is_hnsw:
            params = faiss.SearchParametersHNSW(efSearch=max(self._index.hnsw.efSearch, width))
        else:
            params = faiss.SearchParametersIVF(nprobe=self._index.nprobe)
        _, rows = self._index.search(queries, width, params=params)
        found: NDArray[np.int64] = rows
        return found


def _require_head(path: Path, n: int, dim: int) -> None:
    """Check, before faiss reads the file, its kind, size and metric, and that it is long enough for the vectors."""
    with path.open("rb") as file:
        content = file.read(HEAD.itemsize)
    if len(content) < HEAD.itemsize:
        raise ValueError("the file is too short")
    head = np.frombuffer(content, HEAD)[0]
    if head["kind"] not in KINDS or head["metric"] != INNER_PRODUCT:
        raise ValueError(f"kind {head['kind']!r}, metric {head['metric']}")
    if (head["n"], head["dim"]) != (n, dim):
        raise ValueError(f"it has {head['n']} vectors of width {head['dim']}")
    if path.stat().st_size < n * dim * FLOAT_BYTES:
        raise ValueError("the file is shorter than its vectors")


def _require_graph(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
    """Check what faiss does not: a neighbour on an upper level must be on that level, else foreign memory is read."""
    graph, storage = index.hnsw, faiss.downcast_index(index.storage)
    if not isinstance(storage, faiss.IndexFlat) or (storage.ntotal, storage.d) != (n, dim):
        raise ValueError("its vectors are stored in another way")
    levels_N, offsets = (
        faiss.vector_to_array(graph.levels),
        faiss.vector_to_array(graph.offsets).astype(np.int64),
    )
    widths = faiss.vector_to_array(graph.cum_nneighbor_per_level).astype(np.int64)
    neighbours = faiss.vector_to_array(graph.neighbors)
    if len(levels_N) != n or not 0 <= graph.entry_point < n or graph.max_level != levels_N.max() - 1:
        raise ValueError("its entry is none of its vectors")
    for level in range(1, graph.max_level + 1):  # few nodes are above the lowest level
        nodes = np.flatnonzero(levels_N > level)
        found = neighbours[offsets[nodes][:, None] + np.arange(widths[level], widths[level + 1])]
        if (levels_N[found[found >= 0]] <= level).any():
            raise ValueError("a neighbour is not on its level")


def _require_lists(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
    """Check that every row of every list is a vector of the segment, and that the lists are in the file itself."""
    if not isinstance(index, faiss.IndexIVFFlat):
        raise ValueError("it is an index of another kind")
    cells, lists = faiss.downcast_index(index.quantizer), faiss.downcast_InvertedLists(index.invlists)
    if not isinstance(cells, faiss.IndexFlat) or (cells.ntotal, cells.d) != (index.nlist, dim):
        raise ValueError("its cells are stored in another way")
    if isinstance(lists, faiss.OnDiskInvertedLists) or lists.nlist != index.nlist:
        raise ValueError("its lists are in another file")
    if lists.code_size != dim * FLOAT_BYTES or not 1 <= index.nprobe <= index.nlist:
        raise ValueError("its vectors have another width, or it visits no list")
    sizes = [lists.list_size(one) for one in range(lists.nlist)]
    if sum(sizes) != n:
        raise ValueError(f"its lists hold {sum(sizes)} vectors")
    for one, size in enumerate(sizes):
        rows = faiss.rev_swig_ptr(lists.get_ids(one), size)
        if size and (rows.min() < 0 or rows.max() >= n):
            raise ValueError("a list holds a row that is not in the segment")


def _hnsw(faiss: Any, dense: NDArray[np.float32], params: IndexParams) -> Any:  # noqa: ANN401  untyped library
    index = faiss.IndexHNSWFlat(dense.shape[1], params.hnsw_m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = params.hnsw_ef_construction
    index.hnsw.efSearch = params.hnsw_ef_search
    index.add(dense)
    return index


def _ivf(faiss: Any, dense: NDArray[np.float32], params: IndexParams) -> Any:  # noqa: ANN401  untyped library
    lists = min(
        params.ivf_lists, max(1, len(dense) // 39)
    )  # faiss wants at least 39 training vectors per cell
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(dense.shape[1]), dense.shape[1], lists, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = params.seed
    index.train(dense)
    index.add(dense)
    index.nprobe = min(params.ivf_probes, lists)
    return index


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:  # noqa: ANN401  untyped library
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _faiss() -> Any:  # noqa: ANN401  untyped library
    logging.getLogger("faiss").setLevel(logging.WARNING)
    import faiss

    return faiss
