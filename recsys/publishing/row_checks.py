"""Rows and columns of released files, checked and counted from their footers alone."""

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.profiles.items import SCHEMA, Segment
from recsys.publishing.entries import ReleasedSegment


def require_rows(path: Path, released: ReleasedSegment) -> None:
    """Require, from its footer, that a segment's rows file has the rows and columns of the manifest.

    Args:
        path: the file.
        released: the manifest's entry.

    Raises:
        OSError: it cannot be read.
        ValueError: rows or columns differ.
        pyarrow.ArrowException: it is not a parquet file.
    """
    n_rows = require_columns(path, SCHEMA, SCHEMA.names)
    if n_rows != released.n_items + released.n_deleted:
        raise ValueError(f"has {n_rows} rows, not {released.n_items} items and {released.n_deleted} deletes")


def require_columns(path: Path, schema: pa.Schema, needed: Collection[str]) -> int:
    """Require, from its footer, that a parquet file has the needed columns, with the types of `schema`.

    Args:
        path: the file.
        schema: types by name.
        needed: columns that must exist.

    Returns:
        Number of rows.

    Raises:
        OSError: it cannot be read.
        ValueError: rows or columns differ.
        pyarrow.ArrowException: it is not a parquet file.
    """
    with pq.ParquetFile(path) as opened:
        found = opened.schema_arrow
        wrong = [
            field.name
            for field in schema
            if (field.name in found.names and found.field(field.name).type != field.type)
            or (field.name in needed and field.name not in found.names)
        ]
        if wrong:
            raise ValueError(f"has no column {wrong[0]} of type {schema.field(wrong[0]).type}")
        return int(opened.metadata.num_rows)


def count_rows(segment: Segment) -> tuple[int, int]:
    """Rows of a segment with a vector, and those that delete an item."""
    n_vectors = len(segment.vectors())
    return n_vectors, int(pq.read_metadata(segment.rows_path).num_rows) - n_vectors
