"""Tables block by block; and Arrow files, which are mapped into memory and shared by the processes that map them."""

import mmap
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from recsys.storage.atomic import whole_file

ROWS_AT_ONCE = 65_536
"""Rows that may be Python objects together."""


def write_arrow(target: Path, table: pa.Table) -> None:
    """Write a table atomically as an uncompressed Arrow file: the same table gives the same bytes."""
    with whole_file(target) as temporary, pa.ipc.new_file(temporary, table.schema) as writer:
        writer.write_table(table)


def in_blocks(table: pa.Table) -> Iterator[pa.Table]:
    """Slices of a table, at least one, so that never all of its rows become Python objects at once."""
    for start in range(0, max(1, len(table)), ROWS_AT_ONCE):
        yield table.slice(start, ROWS_AT_ONCE)


def map_arrow(path: Path) -> pa.Table:
    """Map a file that this workspace wrote; its columns lie in the file.

    Args:
        path: the file.

    Returns:
        The table.

    Raises:
        OSError: the file cannot be read.
        pyarrow.ArrowException: it is cut off, or no Arrow file.
    """
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as opened:
        return opened.read_all()


def is_mappable(path: Path) -> bool:
    """Whether the file is there and complete, by its footer."""
    try:
        map_arrow(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def map_foreign_arrow(path: Path, check: Callable[[pa.Table], None]) -> pa.Table:
    """Map a file that others may have written: nothing in it leads outside of it, and every text is UTF-8.

    Checks read the whole file. The memory that this takes is given back: afterwards only what is used stays in memory.

    Args:
        path: the file.
        check: raises ValueError where the table is not what it should be.

    Returns:
        The table.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty or compressed, or `check` refuses it.
        pyarrow.ArrowException: it is not an Arrow file.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with pa.ipc.open_file(pa.py_buffer(mapped)) as opened:
        table = opened.read_all()
    if table.get_total_buffer_size() > len(mapped):
        raise ValueError("is compressed")
    table.validate(full=True)
    check(table)
    mapped.madvise(mmap.MADV_DONTNEED)
    return table
