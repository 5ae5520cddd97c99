"""Checksums of files, and keys of what is made: a hash of everything that a file depends on, for its name."""

import hashlib
import json
from pathlib import Path


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex. A missing file is a FileNotFoundError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(made_of: object) -> str:
    """The key of something that is made.

    Args:
        made_of: everything that it depends on, as values of JSON.

    Returns:
        The first 16 hex digits of the SHA-256 over the JSON, whose keys are sorted.
    """
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
