"""Rows of a part in one Parquet file, in row groups of bounded size."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.errors import RESTORE_DATA, DataDamaged

GROUP_ROWS, GROUP_BYTES = 65_536, 64 * 2**20
"""Size of a row group, which readers hold in memory: at most so many rows, or bytes and one slice more."""
_SLICE_ROWS = 1024
_BATCH_ROWS = 4096


def write_rows(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write rows so that the same rows give the same bytes, however they are cut into batches.

    Args:
        path: the file to write.
        batches: rows, which are written as they come.
        schema: that every batch must have.

    Returns:
        The number of rows.

    Raises:
        ValueError: a batch has other columns.
    """
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6") as writer:
        for group in _row_groups(path.name, batches, schema):
            writer.write_table(group, row_group_size=GROUP_ROWS)
            n_rows += group.num_rows
        if not n_rows:
            writer.write_table(schema.empty_table())
    return n_rows


def _row_groups(name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in groups of GROUP_ROWS, or of fewer where they hold GROUP_BYTES, which is asked every _SLICE_ROWS."""
    held: list[pa.RecordBatch] = []
    n_rows, n_bytes = 0, 0.0
    for batch in batches:
        left = _checked(name, batch, schema)
        while left.num_rows:
            taken = left.slice(0, _SLICE_ROWS - n_rows % _SLICE_ROWS)
            left = left.slice(taken.num_rows)
            held.append(taken)
            n_rows, n_bytes = n_rows + taken.num_rows, n_bytes + sum(map(_value_bytes, taken.columns))
            if n_rows == GROUP_ROWS or (n_rows % _SLICE_ROWS == 0 and n_bytes >= GROUP_BYTES):
                yield pa.Table.from_batches(held, schema).combine_chunks()
                held, n_rows, n_bytes = [], 0, 0.0
    if held:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def _value_bytes(column: pa.Array) -> float:
    """Bytes of the values alone. Those of buffers depend on how rows were cut."""
    if pa.types.is_list(column.type):
        return _value_bytes(column.flatten())
    if pa.types.is_string(column.type):
        return int(pc.sum(pc.binary_length(column)).as_py() or 0)
    return len(column) * int(column.type.bit_width) / 8


def _checked(name: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if not batch.schema.equals(schema):
        raise ValueError(f"{name} needs the columns {schema.names}, got {batch.schema}")
    return batch.replace_schema_metadata(None)


def read_rows(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all rows.

    Args:
        path: the file.
        schema: that it must have.
        columns: only these, in this order; None: all.

    Returns:
        A table in the schema.

    Raises:
        DataDamaged: the file is missing, damaged or of another schema; names it.
    """
    with _opened(path) as file:  # pq.read_table imports pandas
        return _in_schema(path, file.read(columns), schema, columns)


def read_batches(
    path: Path, schema: pa.Schema, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read some thousand rows at a time. Arguments and errors are those of `read_rows`."""
    with _opened(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            yield from _in_schema(path, pa.Table.from_batches([batch]), schema, columns).to_batches()


def read_groups(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Read a row group at a time; an empty one if there are no rows. Arguments and errors are those of `read_rows`."""
    with _opened(path) as file:
        for group in range(file.num_row_groups):
            yield _in_schema(path, file.read_row_group(group, columns, use_threads=False), schema, columns)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataDamaged(f"{path} cannot be read: {error}", remedy=RESTORE_DATA) from error


def _in_schema(path: Path, table: pa.Table, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    if set(table.column_names) == set(schema.names):
        table = table.select(schema.names)  # ParquetFile.read keeps the file's order
    if not table.schema.equals(schema):
        raise DataDamaged(
            f"{path} has the columns {table.schema.names}, not {schema.names}", remedy=RESTORE_DATA
        )
    return table
