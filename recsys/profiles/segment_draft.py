"""A segment in the making: its vectors go straight into their file, in any order, so memory does not grow with them."""

import mmap
import os
from typing import BinaryIO
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.errors import disk_full
from recsys.profiles.items import CONTENT_HASH, SCHEMA, VIEW_SHARES, Segment
from recsys.storage.atomic import TEMPORARY_PREFIX, write_parquet

# Shape suffixes: N live rows, D dimension, B rows of one block.
UNIT_TOLERANCE = 1e-3
ROWS_AT_ONCE = 4096
MAPPED_BYTES = 2**27
"""After so much was written or read, the file's pages are taken out of the process's memory."""


class SegmentDraft:
    """A segment whose vectors are written row by row. Until `finish` they lie beside their place, as `.tmp-…`.

    Args:
        segment: what it becomes.
        n_live: number of live rows.
        dim: width of the vectors.
    """

    def __init__(self, segment: Segment, n_live: int, dim: int) -> None:
        self.segment = segment
        folder = segment.vectors_path.parent
        folder.mkdir(parents=True, exist_ok=True)
        self._temporary = folder / f"{TEMPORARY_PREFIX}{uuid4().hex}"
        with self._temporary.open("w+b") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n_live, dim)}
            np.lib.format.write_array_header_1_0(file, header)  # as `numpy.save` writes it
            start = file.tell()
            n_bytes = start + np.dtype(np.float32).itemsize * n_live * dim
            try:
                _reserve(file, n_bytes)
            except OSError as error:
                self._temporary.unlink()
                raise (disk_full(error, segment.vectors_path) or error) from error
            self._mapped = mmap.mmap(file.fileno(), 0)
        self._vectors_ND = np.frombuffer(self._mapped, np.float32, n_live * dim, start).reshape(n_live, dim)
        self._touched = 0

    def write(self, rows: NDArray[np.int64] | slice, vectors_BD: NDArray[np.float32]) -> None:
        """Set the vectors of some live rows.

        Args:
            rows: which ones.
            vectors_BD: theirs, rows of length 1.
        """
        self._vectors_ND[rows] = vectors_BD
        self._touch(vectors_BD.nbytes)

    def copy(self, rows: NDArray[np.int64], like: NDArray[np.int64]) -> None:
        """Give live rows the vectors that other live rows have.

        Args:
            rows: which ones.
            like: for each of them the row that it equals.
        """
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            self.write(rows[part], self._vectors_ND[like[part]])

    def finish(self, rows: pa.Table, waits: NDArray[np.bool_] | None = None) -> Segment:
        """Put the segment in its place. Vectors come first, so a segment with rows is complete.

        Args:
            rows: in SCHEMA, with CONTENT_HASH and VIEW_SHARES where the head joins views; live rows first, then
                deletes.
            waits: which live rows have no profile yet; their vectors mean nothing. They keep their places, as the rows
                of details and terms do, and are written as deleted, which takes them out of all lists. None: none.

        Returns:
            The segment.

        Raises:
            ValueError: order, count or norm is wrong; nothing is left in the folder.
        """
        try:
            deleted = self._checked(rows)
            self._mapped.flush()
            with self._temporary.open("rb") as file:
                os.fsync(file.fileno())
            self._temporary.replace(self.segment.vectors_path)
        finally:
            self.discard()
        if waits is not None and waits.any():
            deleted = deleted | np.pad(waits, (0, len(deleted) - len(waits)))
            place = rows.column_names.index("deleted")
            rows = rows.set_column(place, "deleted", pa.array(deleted, pa.bool_()))
        further = [
            rows.schema.field(name) for name in (CONTENT_HASH, VIEW_SHARES) if name in rows.column_names
        ]
        schema = pa.schema([*SCHEMA, *further])
        write_parquet(self.segment.rows_path, rows.select(schema.names).cast(schema))
        return self.segment

    def discard(self) -> None:
        """Remove the file, unless it is in its place."""
        self._temporary.unlink(missing_ok=True)

    def _checked(self, rows: pa.Table) -> NDArray[np.bool_]:
        """Which rows are deletes; refuses rows and vectors that do not fit each other."""
        name, (n_vectors, _) = self.segment.name, self._vectors_ND.shape
        deleted = np.asarray(rows["deleted"].to_numpy(zero_copy_only=False), bool)
        n_live = int((~deleted).sum())
        if deleted[:n_live].any():
            raise ValueError(f"segment {name}: live rows must come before deletes")
        if n_vectors != n_live:
            raise ValueError(f"segment {name}: needs {n_live} vectors, got {n_vectors}")
        for start in range(0, n_vectors, ROWS_AT_ONCE):
            block_BD = self._vectors_ND[start : start + ROWS_AT_ONCE]
            off_B = np.abs(np.linalg.norm(block_BD, axis=1) - 1)
            if not (off_B < UNIT_TOLERANCE).all():  # a NaN compares false, so it is caught too
                worst = start + int(np.nan_to_num(off_B, nan=np.inf).argmax())
                raise ValueError(f"segment {name}: the vector of {rows['item_id'][worst]} has not length 1")
            self._touch(block_BD.nbytes)
        return deleted

    def _touch(self, n_bytes: int) -> None:
        """Count what was touched; the system keeps what was written, and puts it on disk when it likes."""
        self._touched += n_bytes
        if self._touched > MAPPED_BYTES:
            self._mapped.madvise(mmap.MADV_DONTNEED)
            self._touched = 0


def _reserve(file: BinaryIO, n_bytes: int) -> None:
    """Give a file its size and its room: a full disk found only later, in mapped memory, ends the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    else:  # macOS
        file.truncate(n_bytes)
