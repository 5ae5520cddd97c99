"""The clock of the place where something is stored: workers compare ages by it, since their own may be wrong."""

import os
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from recsys.errors import StorageError
from recsys.storage.atomic import TEMPORARY_PREFIX
from recsys.storage.protocol import Storage

PREFIX = "clock/"
"""Begins the keys of objects that are written to learn the time, and deleted."""


def time_of_storage(storage: Storage) -> datetime:
    """What time it is at a storage, as it will say when something was written now.

    Args:
        storage: it must be writable.

    Returns:
        UTC, aware.

    Raises:
        StorageError: the storage is out of reach.
    """
    key = f"{PREFIX}{uuid4().hex}"
    storage.write(key, b"")
    found = storage.find(key)
    storage.delete(key)
    if found is None:
        raise StorageError(f"{key} in {storage.url} was deleted right after it was written")
    return found.modified


def time_of_folder(folder: Path) -> float:
    """What time it is at the file system of a folder, perhaps that of a server, in seconds since 1970.

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
