"""The rows of a landed file, in memory or in an Arrow file on disk: whoever needs wide columns reads them in batches.

Memory then depends on a batch, and on the few short columns that say what each row is about, not on the texts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_COMPRESSION = pa.ipc.IpcWriteOptions(compression="lz4")
_HELD_BYTES = 32 * 2**20
"""Rows of up to this size stay in memory: there may be many small batches, and each file is an open one."""


@dataclass(frozen=True)
class _ArrowFile:
    """An Arrow file that is open: it can be read after its name is gone."""

    source: pa.NativeFile
    path: Path
    schema: pa.Schema
    num_rows: int

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Batches as they were written; other columns are not decompressed."""
        places = [self.schema.get_field_index(name) for name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
        reader = pa.ipc.open_file(self.source, options=options)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number).select(columns)


@dataclass(frozen=True)
class LandedRows:
    """Rows in the schema of their kind."""

    _source: pa.Table | _ArrowFile
    _is_kept: NDArray[np.bool_] | None = None
    """Which rows of the source these are; None: all."""

    @property
    def schema(self) -> pa.Schema:
        """Of all columns."""
        return self._source.schema

    @property
    def num_rows(self) -> int:
        """How many there are."""
        return int(self._source.num_rows if self._is_kept is None else np.count_nonzero(self._is_kept))

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows in order, some thousand at a time.

        Args:
            columns: only these, in this order; None: all.

        Yields:
            Batches, none of them empty. An array of one may keep the memory of all its columns: who needs some columns
            of every row asks `table` for them alone.

        Raises:
            ArrowException: the file is damaged.
            OSError: it cannot be read.
        """
        names = self.schema.names if columns is None else columns
        source = self._source
        found = source.batches(names) if isinstance(source, _ArrowFile) else source.select(names).to_batches()
        start = 0
        for batch in found:
            end = start + batch.num_rows
            kept = batch if self._is_kept is None else batch.filter(pa.array(self._is_kept[start:end]))
            if kept.num_rows:
                yield kept
            start = end

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows in memory: what `batches` gives, together."""
        names = self.schema.names if columns is None else columns
        schema = pa.schema([self.schema.field(name) for name in names])
        return pa.Table.from_batches(list(self.batches(names)), schema)

    def where(self, is_kept: NDArray[np.bool_]) -> "LandedRows":
        """Some of these rows; nothing is copied.

        Args:
            is_kept: one per row.

        Returns:
            Those rows, in order.
        """
        if is_kept.all():
            return self
        whole = np.ones(self._source.num_rows, np.bool_) if self._is_kept is None else self._is_kept.copy()
        whole[whole] = is_kept
        return replace(self, _is_kept=whole)

    def save(self, path: Path) -> None:
        """Write the rows to a file, unless they are what it holds already."""
        if isinstance(self._source, _ArrowFile) and self._source.path == path and self._is_kept is None:
            return
        temporary = path.with_name(f"{path.name}.tmp")
        _write(temporary, self.batches(), self.schema)
        temporary.replace(path)


def spooled(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> LandedRows:
    """Write batches to a file as they come.

    Args:
        batches: of rows.
        schema: theirs.
        path: the new file.

    Returns:
        The rows, in that file.

    Raises:
        OSError: it cannot be written.
    """
    n_rows = _write(path, batches, schema)
    return LandedRows(_ArrowFile(pa.OSFile(str(path)), path, schema, n_rows))


def open_checked(path: Path) -> LandedRows:
    """Open a file that another process wrote. Each value is checked now, batch by batch; few rows stay in memory.

    Args:
        path: the file; it may be deleted afterwards.

    Returns:
        Its rows.

    Raises:
        ArrowException: it is no Arrow file, or damaged.
        OSError: it cannot be read.
    """
    source = pa.OSFile(str(path))
    reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(use_threads=False))
    n_rows, n_bytes = 0, 0
    held: list[pa.RecordBatch] = []
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number)
        batch.validate(full=True)
        n_rows, n_bytes = n_rows + batch.num_rows, n_bytes + batch.nbytes
        if n_bytes <= _HELD_BYTES:
            held.append(batch)
        else:
            held.clear()
    if n_bytes > _HELD_BYTES:
        return LandedRows(_ArrowFile(source, path, reader.schema, n_rows))
    source.close()
    return LandedRows(pa.Table.from_batches(held, reader.schema))


def _write(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    n_rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=_COMPRESSION) as writer:
        for batch in batches:
            writer.write_batch(batch)
            n_rows += batch.num_rows
    return n_rows
