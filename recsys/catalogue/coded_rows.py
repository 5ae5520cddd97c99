"""Accepted rows of several parts with users and items as numbers: ten million of them take half a gigabyte."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from recsys.catalogue.parts import Part
from recsys.catalogue.schemas import SCHEMAS
from recsys.storage.strings import unified

NAMES = frozenset({"user", "item_id", "event", "part"})
"""Columns with few distinct strings, which become dictionaries."""
ROWS_AT_ONCE = 1 << 20
"""Rows whose strings are held together before they become numbers."""


def coded_rows(parts: Sequence[Part], kind: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows of several parts, in order of arrival.

    Args:
        parts: of one kind, in their order.
        kind: of the rows.
        columns: only these; None: all.

    Returns:
        The rows in the schema of the kind, but columns of NAMES are dictionaries, one for all rows.

    Raises:
        DataDamaged: a part cannot be read; names the file.
    """
    schema = SCHEMAS[kind] if columns is None else pa.schema([SCHEMAS[kind].field(name) for name in columns])
    blocks = _blocks(batch for part in parts for batch in part.batches(schema.names))
    found = pa.concat_tables([_coded(block) for block in (schema.empty_table(), *blocks)])
    return _coded(found).combine_chunks()


def _blocks(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.Table]:
    held: list[pa.RecordBatch] = []
    n_rows = 0
    for batch in batches:
        held.append(batch)
        n_rows += len(batch)
        if n_rows >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held, n_rows = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _coded(rows: pa.Table) -> pa.Table:
    """The rows with one dictionary for each column of NAMES."""
    names = rows.column_names
    return pa.table({name: unified(rows[name]) if name in NAMES else rows[name] for name in names})
