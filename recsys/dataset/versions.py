"""Versions of items, whose texts change over time: find the version that a split chose, by part and line."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import ArtifactMissing
from recsys.storage.strings import Strings


def places_of(items: pa.Table, rows: pa.Table, what: str) -> NDArray[np.int64]:
    """Find the place of each item's chosen version in `rows`.

    Args:
        items: item_id, part and line of the chosen versions.
        rows: item_id, part and line of all versions.
        what: what the rows hold, for messages.

    Returns:
        One place per item.

    Raises:
        ArtifactMissing: a version is missing; names item, part and line.
    """
    keyed, wanted = _numbered(rows, items, "place"), _numbered(items, items, "order")
    joined = wanted.join(keyed, keys=["item_id", "part", "line"], join_type="left outer").sort_by("order")
    _require(items, joined["place"], what)
    return np.asarray(joined["place"].combine_chunks(), np.int64)


def rows_at(places: pa.Table, rows: pa.Table) -> pa.Int64Array:
    """Find the row of the catalogue in which each version is described.

    Args:
        places: part and line of the versions.
        rows: part and line of all rows of the catalogue, each there once.

    Returns:
        One row per version; null where there is none.
    """
    keyed = rows.select(["part", "line"]).append_column("row", pa.array(np.arange(len(rows))))
    wanted = places.select(["part", "line"]).append_column("order", pa.array(np.arange(len(places))))
    joined = wanted.join(keyed, keys=["part", "line"], join_type="left outer").sort_by("order")
    return joined["row"].combine_chunks()


def _numbered(rows: pa.Table, items: pa.Table, number: str) -> pa.Table:
    """Numbers of item and part of each row, null where `items` lack it; its line; and its own number."""
    columns = {name: pc.index_in(rows[name], value_set=items[name].unique()) for name in ("item_id", "part")}
    return pa.table({**columns, "line": rows["line"], number: np.arange(len(rows))})


def texts_of(items: pa.Table, versions: pa.Table) -> Strings:
    """The text of each item's chosen version.

    Args:
        items: item_id, part and line of the chosen versions.
        versions: rows of the features: item_id, part, line and text.

    Returns:
        One text per item.

    Raises:
        ArtifactMissing: a text is missing; names item, part and line.
    """
    texts = taken(versions["text"], pa.array(places_of(items, versions, "text")))
    _require(items, texts, "text")
    return Strings(texts)


def taken(texts: pa.ChunkedArray, rows: pa.Int64Array) -> pa.ChunkedArray:
    """Some of the texts of a column, which may hold more than the 2 GiB that one array of type string can.

    Args:
        texts: the column.
        rows: of the column; null gives null.

    Returns:
        large_string, one for each row. Arrow's `take` would first copy the whole column.
    """
    row_N, ends = rows.fill_null(-1).to_numpy(), np.cumsum([len(one) for one in texts.chunks])
    chunk_N = np.where(row_N < 0, len(ends), np.searchsorted(ends, row_N, side="right"))
    order = np.argsort(chunk_N, kind="stable")
    bounds = np.searchsorted(chunk_N[order], np.arange(len(ends) + 1))
    pieces = [
        chunk.take(pa.array(row_N[order[start:end]] - (ends[number] - len(chunk)))).cast(pa.large_string())
        for number, (chunk, start, end) in enumerate(zip(texts.chunks, bounds[:-1], bounds[1:], strict=True))
    ]
    missing = pa.nulls(len(order) - bounds[-1], pa.large_string())
    return pa.chunked_array([*pieces, missing]).take(pa.array(np.argsort(order)))


def _require(items: pa.Table, values: pa.ChunkedArray, what: str) -> None:
    missing = items.filter(pc.is_null(values))
    if missing.num_rows:
        one = missing.slice(0, 1).to_pylist()[0]
        raise ArtifactMissing(
            f"item {one['item_id']!r} has no {what} from part {one['part']}, line {one['line']}",
            remedy="features, split and profiles belong to different data: run dvc repro split, then this stage again",
        )
