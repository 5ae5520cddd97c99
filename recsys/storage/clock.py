"""The clock of a storage. Workers compare ages by it, since their own clocks may be wrong."""

from datetime import datetime
from uuid import uuid4

from recsys.errors import StorageError
from recsys.storage.protocol import Storage

PREFIX = "clock/"
"""Begins the keys of objects that are written to learn the time, and deleted."""


def time_of_storage(storage: Storage) -> datetime:
    """The time at a storage: the time that an object written now would get.

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
