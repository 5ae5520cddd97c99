"""Local files that appear whole or not at all: temporary name beside the target, then rename."""

import hashlib
import io
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq


def write_whole(target: Path, content: bytes) -> None:
    """Write `target` so that a kill leaves the old file or the new one; equal content is left alone.

    Args:
        target: the file; its folder is made.
        content: its bytes.
    """
    if target.is_file() and target.stat().st_size == len(content) and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".tmp-{uuid4().hex}"
    try:
        temporary.write_bytes(content)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def parquet_bytes(table: pa.Table) -> bytes:
    """The table as parquet, the same bytes for the same rows."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", version="2.6", store_schema=False)
    return buffer.getvalue()


def write_table(target: Path, table: pa.Table) -> None:
    """Write a table as parquet, whole."""
    write_whole(target, parquet_bytes(table))


def content_key(*parts: str) -> str:
    """First 16 hex digits of SHA-256 over `parts`, unambiguous about where one ends."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
