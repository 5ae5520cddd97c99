"""A folder as storage: temporary file, fsync, rename; compare-and-swap under a file lock."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

from filelock import FileLock

from recsys.errors import StorageError, SwapLost
from recsys.storage.protocol import Stored

# Names of files that are still being written: ours (.tmp-) and what producers use before they rename.
UNFINISHED_PREFIXES = (".", "_")
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".crdownload", "~")


class FolderStorage:
    """Implements `Storage` on a local or mounted folder."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser().absolute()

    @property
    def url(self) -> str:
        """The folder's absolute path."""
        return str(self.root)

    def path(self, key: str) -> Path:
        """The file behind a key.

        Args:
            key: slash-separated, relative.

        Returns:
            A path below the root.

        Raises:
            StorageError: the key is absolute, empty or climbs out of the root.
        """
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise StorageError(f"key {key!r} leaves {self.root}", remedy="use a relative key without '..'")
        return self.root.joinpath(*parts)

    def list(self, prefix: str) -> list[Stored]:
        """Every finished file whose key starts with `prefix`, sorted by key."""
        if prefix:
            self.path(prefix)
        below = self.root / PurePosixPath(prefix) if prefix.endswith("/") else self.root
        with self._explained(prefix):
            found = [stored for stored in self._walk(below) if stored.key.startswith(prefix)]
        return sorted(found, key=lambda stored: stored.key)

    def _walk(self, below: Path) -> Iterator[Stored]:
        for folder, folders, names in os.walk(below, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(UNFINISHED_PREFIXES)]
            for name in names:
                if name.startswith(UNFINISHED_PREFIXES) or name.endswith(UNFINISHED_SUFFIXES):
                    continue
                path = Path(folder, name)
                if found := self._stored(path):  # else moved away between listing and looking
                    yield found

    def _stored(self, path: Path) -> Stored | None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        return Stored(path.relative_to(self.root).as_posix(), stat.st_size, _utc(stat.st_mtime), _tag(stat))

    def find(self, key: str) -> Stored | None:
        """The file as it is now, or None."""
        with self._explained(key):
            path = self.path(key)
            return self._stored(path) if path.is_file() else None

    def read(self, key: str) -> bytes:
        """The file's bytes."""
        with self._explained(key):
            return self.path(key).read_bytes()

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and tag of one version of the file, or None."""
        with self._explained(key):
            try:
                content = self.path(key).read_bytes()
            except FileNotFoundError:
                return None
            # Of the content: some file systems keep whole seconds, where a stale tag of times would win a swap.
            return content, hashlib.sha256(content).hexdigest()

    def sha256(self, key: str) -> str:
        """SHA-256 of the file's bytes."""
        with self._explained(key), self.path(key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def fetch(self, key: str, to: Path) -> None:
        """Copy into a local file, atomically."""
        with self._explained(key):
            _write_atomically(to, self.path(key))

    def write(self, key: str, content: bytes | Path) -> None:
        """Store bytes or a local file's content."""
        with self._explained(key):
            _write_atomically(self.path(key), content)

    def swap(self, key: str, content: bytes, expected: str | None) -> None:
        """Compare and swap under a lock file beside the root."""
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._explained(key), FileLock(target.parent / f".{target.name}.lock"):
            found = self.read_tagged(key)
            if (found[1] if found else None) != expected:
                raise SwapLost(f"{key} in {self.url} was changed by somebody else")
            _write_atomically(target, content)

    def move(self, key: str, to: str) -> None:
        """Rename within the folder; harmless when it was done before."""
        source, target = self.path(key), self.path(to)
        with self._explained(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source.replace(target)
            except FileNotFoundError:
                if not target.exists():
                    raise

    def delete(self, key: str) -> None:
        """Remove the file if it is there."""
        with self._explained(key):
            self.path(key).unlink(missing_ok=True)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "check that the folder exists and may be written"
            raise StorageError(f"{key} in {self.url}: {error.strerror or error}", remedy=remedy) from error


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed is not empty: `collect` would delete what its releases need."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _tag(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}"


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _write_atomically(target: Path, content: bytes | Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".tmp-{uuid4().hex}"
    try:
        if isinstance(content, Path):
            shutil.copyfile(content, temporary)
        else:
            temporary.write_bytes(content)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
