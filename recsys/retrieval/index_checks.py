"""Checks of an index file before it is searched, of what faiss does not check when it reads it.

Each raises ValueError, or what NumPy raises where arrays do not fit together, with the reason.
"""

from pathlib import Path
from typing import Any

import numpy as np

from recsys.retrieval.signs import n_bytes

LEAST_BYTES_PER_NUMBER = {b"IHNs": 0.5, b"IHNf": 4, b"IwFl": 4}
"""First bytes of a file -> least bytes per number of a vector: a graph over copies, HNSW and IVF over plain vectors."""
SIGN_GRAPH = b"IBHf"
"""First bytes of a graph over signs."""
INNER_PRODUCT, HAMMING = 0, 1
HEAD = np.dtype(
    [("kind", "S4"), ("dim", "<i4"), ("n", "<i8"), ("_", "<i8", 2), ("trained", "?"), ("metric", "<i4")]
)
SIGN_HEAD = np.dtype(
    [("kind", "S4"), ("bits", "<i4"), ("bytes", "<i4"), ("n", "<i8"), ("trained", "?"), ("metric", "<i4")]
)


def require_head(path: Path, n: int, dim: int) -> bytes:
    """Check, before faiss reads a file, its kind, size and metric, and that it is long enough for the vectors.

    Args:
        path: the file.
        n: number of vectors of its segment.
        dim: their width.

    Returns:
        Its kind: SIGN_GRAPH, or a key of LEAST_BYTES_PER_NUMBER.
    """
    with path.open("rb") as file:
        content = file.read(HEAD.itemsize)
    if len(content) < HEAD.itemsize:
        raise ValueError("the file is too short")
    kind = content[:4]
    if kind == SIGN_GRAPH:
        least = _require_sign_head(content, n, dim)
    else:
        head = np.frombuffer(content, HEAD)[0]
        if kind not in LEAST_BYTES_PER_NUMBER or head["metric"] != INNER_PRODUCT:
            raise ValueError(f"kind {kind!r}, metric {head['metric']}")
        if (head["n"], head["dim"]) != (n, dim):
            raise ValueError(f"it has {head['n']} vectors of width {head['dim']}")
        least = n * dim * LEAST_BYTES_PER_NUMBER[kind]
    if path.stat().st_size < least:
        raise ValueError("the file is shorter than its vectors")
    return kind


def _require_sign_head(content: bytes, n: int, dim: int) -> float:
    """The least bytes of its vectors."""
    head = np.frombuffer(content, SIGN_HEAD, count=1)[0]
    if head["metric"] != HAMMING:
        raise ValueError(f"kind {head['kind']!r}, metric {head['metric']}")
    width = n_bytes(dim)
    if (head["n"], head["bytes"], head["bits"]) != (n, width, 8 * width):
        raise ValueError(f"it has {head['n']} vectors of {head['bits']} signs")
    return n * width


def require_graph(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
    """Check a graph over vectors or their copies."""
    storage = faiss.downcast_index(index.storage)
    if not _holds_vectors(faiss, storage) or (storage.ntotal, storage.d) != (n, dim):
        raise ValueError("its vectors are stored in another way")
    _require_levels(faiss, index.hnsw, n)


def require_sign_graph(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
    """Check a graph over signs."""
    if not isinstance(index, faiss.IndexBinaryHNSW):
        raise ValueError("it is an index of another kind")
    storage, width = faiss.downcast_IndexBinary(index.storage), n_bytes(dim)
    is_flat = isinstance(storage, faiss.IndexBinaryFlat)
    if not is_flat or (storage.ntotal, storage.code_size, storage.xb.size()) != (n, width, n * width):
        raise ValueError("its vectors are stored in another way")
    _require_levels(faiss, index.hnsw, n)


def _require_levels(faiss: Any, graph: Any, n: int) -> None:  # noqa: ANN401  untyped library
    """A neighbour on an upper level must be on that level, else foreign memory is read."""
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
        n_trained, n_coded = {
            quantizer.QT_8bit: (2 * dim, dim),
            quantizer.QT_8bit_uniform: (2, dim),
            quantizer.QT_4bit_uniform: (2, (dim + 1) // 2),
        }.get(quantizer.qtype, (0, 0))
        is_whole = storage.codes.size() == storage.ntotal * n_coded
        is_ours = (quantizer.d, quantizer.trained.size(), quantizer.code_size) == (dim, n_trained, n_coded)
        return bool(n_coded and is_whole and is_ours and storage.code_size == n_coded)
    return isinstance(storage, faiss.IndexFlat)


def require_lists(faiss: Any, index: Any, n: int, dim: int) -> None:  # noqa: ANN401  untyped library
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
