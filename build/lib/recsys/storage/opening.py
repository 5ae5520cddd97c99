"""One way to read and write a folder or a bucket: `open_storage("path")` or `open_storage("s3://bucket/prefix")`."""

import os

from recsys.storage.address import Folder, place_of
from recsys.storage.folder import FolderStorage
from recsys.storage.protocol import Storage
from recsys.storage.s3 import S3Storage


def open_storage(url: str | os.PathLike[str]) -> Storage:
    """Open a folder or an S3 prefix; nothing is created or contacted yet.

    Args:
        url: see `recsys.storage.address.place_of`.

    Returns:
        The storage.

    Raises:
        StorageError: the address names neither.
    """
    place = place_of(url)
    return (
        FolderStorage(str(place.path)) if isinstance(place, Folder) else S3Storage(place.name, place.prefix)
    )
