"""The storage interface of landing zones and release stores."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """One stored object."""

    key: str
    """Slash-separated, relative to the storage's root."""
    size: int
    """Bytes."""
    modified: datetime
    """UTC, aware."""
    tag: str
    """Changes when it is written again: ETag on S3; size, mtime and inode in a folder. `swap` expects another one."""


@dataclass(frozen=True)
class PassedOver:
    """An entry of a landing zone that is not a regular file or cannot be read."""

    key: str
    """Slash-separated, relative to the storage's root; bytes that are not UTF-8 are lone surrogates."""
    why: str
    """The reason, for people."""


class Storage(Protocol):
    """A folder or a bucket. Keys are relative, slash-separated and never climb out of the root.

    Every write is atomic: a reader sees the old bytes, the new bytes or nothing, never a part.
    All methods raise StorageError with the key when the place refuses; `read` and `fetch` of a
    missing key raise StorageError too, `read_tagged` answers None.
    """

    @property
    def url(self) -> str:
        """What `open_storage` was given."""

    def list(self, prefix: str) -> list[Stored]:
        """Every object whose key starts with `prefix`, sorted by key; half-written ones are left out."""

    def survey(self, prefix: str) -> tuple[tuple[Stored, ...], tuple[PassedOver, ...]]:
        """List a landing zone below `prefix`, a folder's name with a slash at the end.

        Unlike `list`, nothing in it raises: what is not a regular file (a pipe, a socket, a link) or cannot be read is
        skipped and named.

        Args:
            prefix: such as "catalogue/".

        Returns:
            Every finished regular file, sorted by key, and what was skipped.

        Raises:
            StorageError: the place as a whole is out of reach.
        """

    def top(self) -> tuple[str, ...]:
        """Names at the root, sorted: files, and folders with a slash at their end. Cheap however much lies below."""

    def find(self, key: str) -> Stored | None:
        """The object as it is now, without its bytes, or None where it is missing."""

    def read(self, key: str) -> bytes:
        """The object's bytes."""

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes with the tag that `swap` expects, or None where it is missing.

        The tag follows from the content alone (ETag, or SHA-256 in a folder): what is swapped should carry a nonce.
        """

    def sha256(self, key: str) -> str:
        """SHA-256 in hex of the bytes as they are stored now, read back from the place itself."""

    def fetch(self, key: str, to: Path) -> None:
        """Copy the object into the local file `to`, atomically."""

    def write(self, key: str, content: bytes | Path) -> None:
        """Store bytes, or a local file's content; replaces."""

    def swap(self, key: str, content: bytes, expected: str | None) -> None:
        """Store `content` only if the object's tag still is `expected` (None: only if it is missing).

        Args:
            key: which object.
            content: its new bytes; should carry a nonce, see below.
            expected: the tag from `read_tagged`, or None.

        Raises:
            SwapLost: another value is there. A reply that got lost may have been a success:
                `content` should carry a nonce, and the caller reads again before it retries.
        """

    def move(self, key: str, to: str) -> None:
        """Rename; where the place cannot, copy and then delete. Moving twice is harmless."""

    def take(self, key: str, tag: str, to: str) -> bool:
        """Move the object to `to` if it still is the version with this tag; a newer version stays, or is put back.

        Killed at any point, the same call again ends the same way.

        Args:
            key: which object.
            tag: of the version that was read.
            to: where that version goes; nothing else is kept there.

        Returns:
            Whether `to` holds that version now; False where another one is there in its place, or none.
        """

    def delete(self, key: str) -> None:
        """Remove the object; removing a missing one is harmless."""
