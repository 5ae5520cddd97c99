"""Files of views, next to those of texts in artifacts/features: the evidence about the items of a catalogue part.

A part whose items have no evidence has no such file, so that a workspace without views has none at all. A file is named
by its content: relations that land later change the files of parts with the items they are about, and no others.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import BatchRefused, DataDamaged
from recsys.features.evidence import NO_EVIDENCE, NOTHING, Evidence
from recsys.features.text import feature_files
from recsys.features.views import NO_VIEWS, DenseView, SparseView, View, Views
from recsys.storage.atomic import write_parquet, write_whole
from recsys.storage.checksums import key_of
from recsys.storage.strings import Strings

SUFFIX = ".views.parquet"
"""Their names are those of `text.VIEWS_NAME`."""
PARTS = "views.json"
"""In artifacts/features: ids of the parts that the views were made of."""
NAMES, WEIGHTS, VECTOR = "names:", "weights:", "vector:"
"""Columns of a view: these and its name. Sparse views have the first two, dense ones the third."""
MOST_NUMBERS = np.iinfo(np.int32).max
"""Of one view in one file."""
SOURCES = b"sources"
"""In the file's metadata: view -> source of its vectors, as JSON."""


def views_key(part_ids: Sequence[str], hashes: Sequence[str]) -> str:
    """16 hex digits of the SHA-256 over what the views say about a part's items.

    Args:
        part_ids: items of the part, without repeats.
        hashes: of each, see `Evidence.hashes`.

    Returns:
        The key; "" where they say nothing.
    """
    known = sorted((item, one) for item, one in zip(part_ids, hashes, strict=True) if one != NOTHING)
    return key_of(known) if known else ""


def views_path(folder: Path, part: str, key: str) -> Path:
    """Where the views of a part lie."""
    return folder / f"{part}-{key}{SUFFIX}"


def write_made_of(folder: Path, parts: Sequence[str]) -> Path:
    """Record which parts the views were made of; return the file."""
    write_whole(folder / PARTS, (json.dumps({"parts": sorted(parts)}, indent=1) + "\n").encode())
    return folder / PARTS


def made_of(folder: Path) -> tuple[str, ...]:
    """Ids of the parts of relations and vectors that the views of a folder were made of; empty where there are none."""
    try:
        return tuple(json.loads((folder / PARTS).read_bytes())["parts"])
    except FileNotFoundError:
        return ()


def write_views(path: Path, evidence: Evidence, item_ids: pa.Array) -> None:
    """Write what the views say about some items; the same evidence gives the same bytes.

    Args:
        path: the new file.
        evidence: of these items and others.
        item_ids: items of one part, without repeats.

    Raises:
        BatchRefused: a view says more of them than one list column can hold; names it.
    """
    hashes = evidence.hashes_of(item_ids)
    some = item_ids.filter(pa.array([one != NOTHING for one in hashes]))
    some = some.take(pc.sort_indices(some))
    columns: dict[str, pa.Array] = {
        "item_id": some,
        "evidence_hash": pa.array(evidence.hashes_of(some), pa.string()),
    }
    sources = {}
    for name, view in sorted(evidence.views_of(some).items()):
        if isinstance(view, DenseView):
            sources[name] = view.source
            _require_room(path, name, int(view.has_N.sum()) * view.vectors_ND.shape[1])
            columns[VECTOR + name] = _lists(view.has_N, pa.array(view.vectors_ND[view.has_N].ravel()))
        else:
            _require_room(path, name, view.rows_NE.nnz)
            ends = pa.array(view.rows_NE.indptr.astype(np.int32))
            named = pa.array(view.names, pa.string()).take(pa.array(view.rows_NE.indices))
            columns[NAMES + name] = pa.ListArray.from_arrays(ends, named)
            columns[WEIGHTS + name] = pa.ListArray.from_arrays(ends, pa.array(view.rows_NE.data))
    write_parquet(path, pa.table(columns).replace_schema_metadata({SOURCES: json.dumps(sources)}))


def read_views(paths: Iterable[Path]) -> Evidence:
    """Read files that `write_views` wrote in one run.

    Args:
        paths: of any parts.

    Returns:
        The evidence of all their items, each once.

    Raises:
        DataDamaged: a file cannot be read; names it.
    """
    tables = [_read(path) for path in paths]
    if not tables:
        return NO_EVIDENCE
    sources: dict[str, str] = {}
    for table in tables:
        sources |= json.loads(table.schema.metadata[SOURCES])
    whole = pa.concat_tables(
        [table.replace_schema_metadata(None) for table in tables], promote_options="default"
    )
    first = whole["item_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, rows = np.unique(first, return_index=True)
    whole = whole.take(pa.array(np.sort(rows))).combine_chunks()
    views: dict[str, View] = {}
    for column in whole.column_names:
        if column.startswith(VECTOR):
            name = column.removeprefix(VECTOR)
            views[name] = DenseView(_vectors(whole[column]), sources[name])
        elif column.startswith(NAMES):
            name = column.removeprefix(NAMES)
            views[name] = _sparse(whole[column], whole[WEIGHTS + name])
    ids = whole["item_id"].combine_chunks()
    return Evidence(ids, tuple(whole["evidence_hash"].to_pylist()), views)


def views_at(folder: Path, item_ids: Sequence[str]) -> Views:
    """The views of some items, for training and evaluation.

    Args:
        folder: artifacts/features.
        item_ids: in any order.

    Returns:
        Views in the same order; none where the folder has none.

    Raises:
        ArtifactMissing: the folder does not exist.
        DataDamaged: a file cannot be read; names it.
    """
    evidence = read_views(file.views_path for file in feature_files(folder) if file.views_path)
    return evidence.views_of(Strings(item_ids).column) if evidence.views else NO_VIEWS


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataDamaged(
            f"{path} cannot be read: {error}", remedy=f"delete {path} and run: dvc repro features"
        ) from error


def _require_room(path: Path, view: str, n: int) -> None:
    """Arrow's lists have 32-bit offsets: they would overflow, and items would get the numbers of others."""
    if n > MOST_NUMBERS:
        raise BatchRefused(
            f"{path.name}: view {view!r} holds {n:,} numbers of one part, at most {MOST_NUMBERS:,} fit",
            remedy="land the catalogue in smaller files, or vectors of fewer dimensions",
        )


def _lists(has_N: NDArray[np.bool_], numbers: pa.Array) -> pa.Array:
    """One list per item, all of one width; null where an item has none."""
    width = len(numbers) // max(1, int(has_N.sum()))
    ends = np.concatenate([[0], np.cumsum(has_N) * width]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), numbers, mask=pa.array(~has_N))


def _vectors(column: pa.ChunkedArray) -> NDArray[np.float32]:
    lists = column.combine_chunks()
    has_N = np.asarray(lists.is_valid().to_numpy(zero_copy_only=False), np.bool_)
    numbers = pc.list_flatten(lists).to_numpy(zero_copy_only=False).astype(np.float32)
    vectors_ND = np.zeros((len(lists), len(numbers) // max(1, int(has_N.sum()))), np.float32)
    vectors_ND[has_N] = numbers.reshape(int(has_N.sum()), -1)
    return vectors_ND


def _sparse(names: pa.ChunkedArray, weights: pa.ChunkedArray) -> SparseView:
    lists = names.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    named = pc.list_flatten(lists)
    distinct = pc.unique(named)
    distinct = distinct.take(pc.sort_indices(distinct))
    columns = pc.index_in(named, value_set=distinct).to_numpy(zero_copy_only=False)
    data = pc.list_flatten(weights.combine_chunks()).to_numpy(zero_copy_only=False)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    rows_NE = csr_array((data, columns, ends), shape=(len(lists), len(distinct)))
    return SparseView(tuple(distinct.to_pylist()), rows_NE)
