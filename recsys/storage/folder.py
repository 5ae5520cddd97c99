"""A folder as storage: temporary file, fsync, rename; compare-and-swap under a file lock."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from uuid import uuid4

from filelock import FileLock

from recsys.errors import StorageError, SwapLost, disk_full
from recsys.storage.protocol import PassedOver, Stored
from recsys.storage.surveying import UNFINISHED_PREFIXES, is_unfinished, regular_files


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

    def top(self) -> tuple[str, ...]:
        """Names at the root; none where there is no such folder yet."""
        with self._explained(""):
            try:
                found = [(entry.name, entry.is_dir()) for entry in os.scandir(self.root)]
            except FileNotFoundError:
                return ()
        return tuple(sorted(name + "/" * is_folder for name, is_folder in found if not is_unfinished(name)))

    def _walk(self, below: Path) -> Iterator[Stored]:
        for folder, folders, names in os.walk(below, onerror=_refuse):
            folders[:] = [name for name in folders if not name.startswith(UNFINISHED_PREFIXES)]
            for name in names:
                if is_unfinished(name):
                    continue
                path = Path(folder, name)
                if found := self._stored(path):  # else moved away between listing and looking
                    yield found

    def _stored(self, path: Path) -> Stored | None:
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        return self._as_stored(path, stat)

    def _as_stored(self, path: Path, stat: os.stat_result) -> Stored:
        return Stored(path.relative_to(self.root).as_posix(), stat.st_size, _utc(stat.st_mtime), _tag(stat))

    def survey(self, prefix: str) -> tuple[tuple[Stored, ...], tuple[PassedOver, ...]]:
        """Every finished regular file below a folder, and everything else there: pipes, links, unreadable files."""
        found: list[Stored] = []
        passed_over: list[PassedOver] = []
        with self._explained(prefix):
            for one in regular_files(self.path(prefix), self.root):
                if isinstance(one, PassedOver):
                    passed_over.append(one)
                else:
                    found.append(self._as_stored(*one))
        return tuple(sorted(found, key=lambda stored: stored.key)), tuple(passed_over)

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

    def take(self, key: str, tag: str, to: str) -> bool:
        """Rename, then check what was renamed: a newer version written at the last moment is put back."""
        source, target = self.path(key), self.path(to)
        with self._explained(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            if _tag_of(source) == tag:
                with suppress(FileNotFoundError):
                    source.replace(target)
            moved = _tag_of(target)
            if moved is None or moved == tag:
                return moved == tag
            _put_back(target, source)
            return False

    def delete(self, key: str) -> None:
        """Remove the file if it is there."""
        with self._explained(key):
            self.path(key).unlink(missing_ok=True)

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if full := disk_full(error, f"{key} in {self.url}"):
                raise full from error
            remedy = "check that the folder exists and may be written"
            raise StorageError(f"{key} in {self.url}: {error.strerror or error}", remedy=remedy) from error


def _refuse(error: OSError) -> None:
    """Raise: a folder that cannot be listed is not empty, and `collect` would delete what its releases need."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _tag(stat: os.stat_result) -> str:
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}"


def _tag_of(path: Path) -> str | None:
    try:
        return _tag(path.lstat())
    except FileNotFoundError:
        return None


def _put_back(aside: Path, place: Path) -> None:
    """Restore a file's name, unless a still newer file has it, which would have replaced it anyway."""
    try:
        with suppress(FileExistsError):
            os.link(aside, place, follow_symlinks=False)
    except OSError:  # a file system without links
        if not place.exists():
            aside.rename(place)
            return
    aside.unlink()


def _utc(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (
        OverflowError,
        ValueError,
        OSError,
    ):  # a time that no calendar has; some file systems keep any number
        return (datetime.max if seconds > 0 else datetime.min).replace(tzinfo=UTC)


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
