"""Rows of parquet. A dictionary may repeat a large value many times, so sizes are checked before rows are made."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.catalogue.fields import BadRow
from recsys.catalogue.folding import folded
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS, KINDS
from recsys.catalogue.readers.arrow_values import plain_values
from recsys.catalogue.readers.rows import INDEX_COLUMN, LandedFile, OutOfMemory, RawRow, Reading

PARQUET = b"PAR1"
"""The first bytes of a parquet file."""

_BATCH_ROWS = 4096
_BATCH_BYTES = 16 * 2**20
_ROW_BYTES = 64  # what a row costs that holds nothing: a few bytes of parquet can name a billion of them
_BUFFER_BYTES = 2**20


def parquet_rows(file: LandedFile, reading: Reading) -> Iterator[RawRow]:
    """Rows of a parquet file, by number.

    Args:
        file: the staged copy.
        reading: takes columns and notes.

    Yields:
        One raw row per row.

    Raises:
        BatchRefused: too many columns, or more decoded bytes than may be.
        UnreadableFile: the file is cut off or damaged.
        OutOfMemory: a page of a row group is larger than the memory of this process.
    """
    try:
        with _opened(file) as source:
            names, needed = _names(file, source.schema_arrow.names, reading), _needed(file.key)
            names = _readable(source, names, needed, reading)
            line, decoded = 0, 0
            for batch in _batches(source, names):
                decoded += sum(_decoded_bytes(column) for column in batch.columns)
                file.check_decoded(decoded + (line + batch.num_rows) * _ROW_BYTES)
                columns = [_values(name, batch.column(name), needed, reading) for name in names]
                has_faults = any(BadRow in set(map(type, values)) for values in columns)
                for row in zip(*columns, strict=True) if columns else [()] * batch.num_rows:
                    line += 1
                    yield _row(line, names, row, has_faults=has_faults)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        remedy = "write the whole file under another name and rename when done"
        raise file.unreadable(f"no complete parquet file: {words}", remedy) from error


def _opened(file: LandedFile) -> pq.ParquetFile:
    """The file with its texts left in dictionaries, however they were written."""
    with pq.ParquetFile(file.path) as source:
        columns = [source.schema.column(n) for n in range(len(source.schema))]
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        decimals = {column.path for column in columns if column.logical_type.type == "DECIMAL"}
    texts = [path for path in texts if path not in decimals]
    return pq.ParquetFile(file.path, read_dictionary=texts, buffer_size=_BUFFER_BYTES, pre_buffer=False)


def _names(file: LandedFile, names: list[str], reading: Reading) -> list[str]:
    file.check_width(len(names))
    if len(set(names)) < len(names):
        raise file.unreadable("two columns have the same name", "name each column once")
    index = [name for name in names if INDEX_COLUMN.fullmatch(name)]
    reading.notes.extend(f"column {name} (an index that pandas wrote) ignored" for name in index)
    names = [name for name in names if name not in index]
    reading.columns.update(names)
    return names


def _needed(key: str) -> set[str]:
    """Folded names of columns in which an unreadable value is a bad row: those of items, interactions and its kind.

    The kind is the first folder of the key. `vector` is needed in vectors/, and one more column in catalogue/.
    """
    kinds = {CATALOGUE, INTERACTIONS, key.partition("/")[0]} & {*KINDS}
    return {folded(name) for kind in kinds for name in KINDS[kind].columns}


def _readable(
    source: pq.ParquetFile, names: list[str], needed: Collection[str], reading: Reading
) -> list[str]:
    """Columns without those that Arrow writes but cannot read: lists of one length where some are missing."""
    fixed = [
        name
        for name in names
        if folded(name) not in needed and pa.types.is_fixed_size_list(source.schema_arrow.field(name).type)
    ]
    for name in fixed:
        try:
            for _ in _batches(source, [name]):
                pass
        except pa.ArrowInvalid:
            reading.notes.append(f"column {name} ignored: lists of one length, of which some are missing")
            names = [other for other in names if other != name]
    return names


def _batches(source: pq.ParquetFile, names: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows, one row group after the other: read together, each would keep a buffer for each column to the end."""
    n_rows = _batch_rows(source)
    for number in range(source.num_row_groups):
        try:
            yield from source.iter_batches(n_rows, row_groups=[number], columns=names, use_threads=False)
        except MemoryError as error:
            group = source.metadata.row_group(number)
            size = f"{group.total_byte_size / 2**20:,.0f} MB in {group.num_rows:,} rows"
            raise OutOfMemory(f"row group {number + 1} of {source.num_row_groups} ({size})") from error


def _batch_rows(source: pq.ParquetFile) -> int:
    metadata = source.metadata
    stated = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    per_row = int(stated) // max(1, int(metadata.num_rows))
    return max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, per_row)))


def _decoded_bytes(column: pa.Array) -> int:
    """Bytes of a column with every repeated value written out."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if not (pa.types.is_binary(kind.value_type) or pa.types.is_string(kind.value_type)):
            return int(column.indices.nbytes)
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        return int(column.indices.nbytes) + int(pc.sum(lengths, min_count=0).as_py())
    if pa.types.is_map(kind):
        return _decoded_bytes(column.keys) + _decoded_bytes(column.items)
    if pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        return int(column.nbytes - column.values.nbytes) + _decoded_bytes(column.flatten())
    if pa.types.is_struct(kind):
        return sum(_decoded_bytes(child) for child in column.flatten())
    return int(column.nbytes)


def _values(name: str, column: pa.Array, needed: Collection[str], reading: Reading) -> list[Any]:
    """A column as plain values; in an unneeded column an unreadable value is missing, not a bad row."""
    try:
        values = plain_values(column)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, NotImplementedError, RecursionError) as error:
        if folded(name) in needed:
            raise
        note = (
            f"column {name} ignored: its type {str(column.type)[:60]} cannot be read ({type(error).__name__})"
        )
        if note not in reading.notes:
            reading.notes.append(note)
        return [None] * len(column)
    if folded(name) in needed or BadRow not in set(map(type, values)):
        return values
    note = f"column {name}: values that cannot be read are left out"
    if note not in reading.notes:
        reading.notes.append(note)
    return [None if isinstance(value, BadRow) else value for value in values]


def _row(line: int, names: list[str], row: tuple[Any, ...], *, has_faults: bool) -> RawRow:
    if has_faults and (fault := next((value for value in row if isinstance(value, BadRow)), None)):
        return RawRow(line, {}, fault)
    return RawRow(line, {name: value for name, value in zip(names, row, strict=True) if value is not None})
