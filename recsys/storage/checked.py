"""Files of a cache that begin with the SHA-256 of the rest: a damaged one counts as missing."""

import hashlib
from pathlib import Path

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
