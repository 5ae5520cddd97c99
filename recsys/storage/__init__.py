"""One way to read and write a folder or a bucket: `open_storage("path")` or `open_storage("s3://bucket/prefix")`."""

from recsys.storage.folder import FolderStorage
from recsys.storage.protocol import Storage, Stored
from recsys.storage.s3 import S3Storage

__all__ = ["FolderStorage", "S3Storage", "Storage", "Stored", "open_storage"]


def open_storage(url: str) -> Storage:
    """Open a folder or an S3 prefix; nothing is created or contacted yet."""
    return S3Storage(url) if url.startswith("s3://") else FolderStorage(url)
