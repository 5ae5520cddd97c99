"""Whole files or none: written under a temporary name in the same folder, flushed to disk, renamed."""

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from recsys.errors import disk_full

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import BaseModel

TEMPORARY_PREFIX = ".tmp-"
GROUP_ROWS = 1 << 20
"""Rows of a row group of Parquet, as many as pyarrow takes."""


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path to write to; on a clean exit it becomes `target`, on an error it is removed.

    A process killed in between leaves a file `.tmp-…` beside the target, never half a target. A full disk is DiskFull,
    which names the target; it is an OSError too.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f"{TEMPORARY_PREFIX}{uuid4().hex}"
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise (disk_full(error, target) or error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(
    target: Path, table: "pa.Table", group_rows: int = GROUP_ROWS, schema: "pa.Schema | None" = None
) -> None:
    """Write a table atomically, with fixed options: the same table gives the same bytes.

    Args:
        target: the file.
        table: its content.
        group_rows: rows of a row group.
        schema: of the file, where the table holds columns as dictionaries; a group at a time is converted.
    """
    write_parquet_groups(
        target,
        schema or table.schema,
        (table.slice(start, group_rows) for start in range(0, max(1, table.num_rows), group_rows)),
    )


def write_parquet_groups(target: Path, schema: "pa.Schema", groups: "Iterable[pa.Table]") -> None:
    """Write a file atomically group by group, so that never all of its rows are in memory.

    Args:
        target: the file.
        schema: of the file.
        groups: rows of each row group; columns may be dictionaries of what the schema says.
    """
    import pyarrow.parquet as pq

    with (
        whole_file(target) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", version="2.6") as writer,
    ):
        for group in groups:
            writer.write_table(group.cast(schema), row_group_size=max(1, group.num_rows))


def write_whole(target: Path, content: bytes) -> None:
    """Write bytes atomically; a file that holds them already is left alone, with its time."""
    if target.is_file() and target.stat().st_size == len(content) and target.read_bytes() == content:
        return
    with whole_file(target) as temporary:
        temporary.write_bytes(content)


def write_document(
    target: Path, document: "BaseModel", indent: int = 1, exclude: Collection[str] = ()
) -> None:
    """Write a model of pydantic atomically as readable JSON; a file with the same content is left alone.

    Args:
        target: the file.
        document: its content.
        indent: blanks per level.
        exclude: fields that are left out.
    """
    write_whole(target, (document.model_dump_json(indent=indent, exclude={*exclude}) + "\n").encode())


def time_of_folder(folder: Path) -> float:
    """The time at the file system of a folder, which may be a server's, in seconds since 1970.

    Args:
        folder: it exists and is writable.

    Returns:
        The time of modification that a file gets now.

    Raises:
        OSError: it is not.
    """
    probe = folder / f"{TEMPORARY_PREFIX}{uuid4().hex}"
    try:
        probe.touch()
        return os.stat(probe).st_mtime
    finally:
        probe.unlink(missing_ok=True)
