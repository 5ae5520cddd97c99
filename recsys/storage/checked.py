"""Files of a cache that begin with the SHA-256 of the rest: a damaged one counts as missing."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.storage.atomic import write_whole

DIGEST_BYTES = 32


def write_checked(path: Path, content: bytes) -> None:
    """Write content atomically, behind its checksum."""
    write_whole(path, hashlib.sha256(content).digest() + content)


def read_checked(path: Path) -> bytes | None:
    """Read what `write_checked` wrote; None where it is missing or damaged."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, content = found[:DIGEST_BYTES], found[DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def write_checked_table(path: Path, table: pa.Table, row_group_size: int | None = None) -> None:
    """Write a table as Parquet, atomically, behind its checksum."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd", row_group_size=row_group_size)
    write_checked(path, buffer.getvalue().to_pybytes())


def read_checked_table(path: Path) -> pa.Table | None:
    """Read what `write_checked_table` wrote; None where it is missing or damaged."""
    content = read_checked(path)
    return None if content is None else pq.read_table(pa.BufferReader(content))
