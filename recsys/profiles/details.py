"""Details of live items: what pages show and what filters read, from memory-mapped files."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.features.details import LIST, NUMBER, SCHEMA, TEXT, value_text
from recsys.profiles.items import Latest
from recsys.storage.tables import map_foreign_arrow

# Shape suffixes: I live items.
WIDEST_LAST = (NUMBER, TEXT, LIST)


def open_details(path: Path, n_items: int) -> pa.Table:
    """Map the details of one segment.

    Args:
        path: a file that stage `features` wrote, perhaps in another workspace.
        n_items: live rows of the segment.

    Returns:
        Row i belongs to row i of the segment.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has other rows or columns.
        pyarrow.ArrowException: it is not an Arrow file.
    """
    return map_foreign_arrow(path, lambda table: _require_details(table, n_items))


def _require_details(table: pa.Table, n_items: int) -> None:
    if table.schema.names[: len(SCHEMA)] != SCHEMA.names or len(set(table.schema.names)) != table.num_columns:
        raise ValueError(f"has the columns {', '.join(table.schema.names[:9])}")
    for field in table.schema:
        known = [SCHEMA.field(field.name).type] if field.name in SCHEMA.names else WIDEST_LAST
        if field.type not in known:
            raise ValueError(f"has a column {field.name} of type {field.type}")
    if len(table) != n_items:
        raise ValueError(f"has {len(table)} rows, not {n_items}")


def require_items(table: pa.Table, segment: int, latest: Latest) -> None:
    """Require that details belong to the items of their segment.

    Args:
        table: by `open_details`.
        segment: its position in the segments that `latest` was made of.
        latest: of these segments.

    Raises:
        ValueError: a live item's row is that of another item.
    """
    start, end = latest.bounds(segment + 1)[segment:]
    theirs = table["item_id"].take(pa.array(latest.row_of_item[start:end]))
    ours = pa.chunked_array([latest.item_ids.column[start:end]])
    if not theirs.equals(ours):
        raise ValueError(
            f"has rows of other items than its segment, which begins with {latest.item_ids[int(start)]!r}"
        )


class ItemDetails:
    """Details of all live items.

    Args:
        tables: one per segment, by `open_details`; None where a release of an older format has none.
        latest: of the same segments.
    """

    def __init__(self, tables: Sequence[pa.Table | None], latest: Latest) -> None:
        self._tables, self._latest = tuple(tables), latest
        self._bounds = latest.bounds(len(self._tables))
        self._cells = [_cells(table) for table in self._tables]
        names = {name for table in self._tables if table is not None for name in table.column_names}
        self.attributes = tuple(sorted(names - set(SCHEMA.names)))
        """Names of the attributes that some item may have."""

    def rows(self, items: NDArray[np.int64], leaving_out: Collection[str] = ()) -> list[dict[str, Any]]:
        """Details of some items.

        Args:
            items: positions in `Latest.item_ids`.
            leaving_out: columns that are not read, which saves a third of the time where one of them is a time.

        Returns:
            One dict per item, in order: `item_id`, `title`, `description`, `tags`, `image`, `updated_at`, and
            `attributes`, which has name and value of those that the item has. Of an item without details all but
            `item_id` is None, and `attributes` is empty.
        """
        segment_of, row_of = self._latest.segment_of_item[items], self._latest.row_of_item[items]
        return [
            self._row(item, self._cells[segment], row, leaving_out)
            for item, segment, row in zip(items.tolist(), segment_of.tolist(), row_of.tolist(), strict=True)
        ]

    def _row(
        self, item: int, cells: dict[str, pa.Array], row: int, leaving_out: Collection[str]
    ) -> dict[str, Any]:
        """Details of one item. Reading cell by cell is several times faster than `Table.take` of a list."""
        if not cells:
            return {**dict.fromkeys(SCHEMA.names), "item_id": self._latest.item_ids[item], "attributes": {}}
        values = {name: column[row].as_py() for name, column in cells.items() if name not in leaving_out}
        attributes = {name: values.pop(name) for name in self.attributes if name in cells}
        return {
            **values,
            "attributes": {name: value for name, value in attributes.items() if value is not None},
        }

    def column(self, name: str) -> pa.Array:
        """One column over `Latest.item_ids`, newly gathered.

        Args:
            name: a column of SCHEMA, or one of `attributes`.

        Returns:
            [I], null where an item has no value. An attribute is float64 where every value in the release is a number,
            list<string> where some item has several values, else string.

        Raises:
            KeyError: there is no such column.
        """
        if name not in (*SCHEMA.names, *self.attributes):
            raise KeyError(name)
        return self._gathered(name)

    def _gathered(self, name: str) -> pa.Array:
        types = [
            table.field(name).type
            for table in self._tables
            if table is not None and name in table.column_names
        ]
        wanted = types[0] if name in SCHEMA.names else max(types, key=WIDEST_LAST.index)
        pieces = []
        for segment, table in enumerate(self._tables):
            start, end = self._bounds[segment : segment + 2]
            if table is None or name not in table.column_names:
                pieces.append(pa.nulls(end - start, wanted))
                continue
            values = table[name].take(pa.array(self._latest.row_of_item[start:end]))
            pieces.append(_widened(values.combine_chunks(), wanted))
        return pa.concat_arrays(pieces)


def _cells(table: pa.Table | None) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Columns by name, read directly where there is only one chunk."""
    if table is None:
        return {}
    return {
        name: column.chunk(0) if column.num_chunks == 1 else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }


def _widened(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """An attribute's values in a type that holds those of other segments too."""
    if values.type == wanted:
        return values
    if values.type == NUMBER:
        texts = [None if value is None else value_text(value) for value in values.to_pylist()]
        values = pa.array(texts, TEXT)
    if wanted == LIST:
        return pa.array([None if value is None else [value] for value in values.to_pylist()], LIST)
    return values
