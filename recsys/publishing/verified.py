"""Files that were verified stay verified until they change: hashing a release of a million items takes seconds.

A folder remembers, for each verified file, its path, device, inode, size and times. Whoever changes a file changes its
ctime, which no program can set. A file that was changed less than `SETTLED_NS` ago is not remembered: another change
might leave the same times.

The folder is only a cache. Where it cannot be written to, files are hashed each time. Of more than `MAX_FILES` files in
it the oldest are deleted.
"""

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from recsys.storage.atomic import write_whole
from recsys.storage.checksums import sha256_of_file

SETTLED_NS = 2_000_000_000
MAX_FILES = 8192
"""Notes and their locks: far more than the files of the releases that one machine serves."""


class VerifiedFiles:
    """Remembers which files have their checksums. May be shared between threads and processes.

    Args:
        folder: where it remembers; made when it is first needed. Deleting it only costs time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def digest(self, path: Path, expected: str, *, anew: bool = False) -> str:
        """The SHA-256 of a file. Of several processes that ask for a new file one hashes it, and the others wait.

        Args:
            path: the file.
            expected: the SHA-256 that it should have.
            anew: hash it even if it was verified before.

        Returns:
            `expected` at once where the file had it before and has not changed since; else what its bytes give.

        Raises:
            OSError: the file cannot be read.
        """
        path = path.resolve()
        note = self._folder / hashlib.sha256(f"{expected} {path}".encode()).hexdigest()
        if not anew and _is_noted(note, path):
            return expected
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(note.with_suffix(".lock")).acquire()
        except OSError:  # a cache that cannot be written to
            return sha256_of_file(path)
        with lock:
            if not anew and _is_noted(note, path):
                return expected
            before = _state(path)
            found = sha256_of_file(path)
            changed_ns = max(path.stat().st_mtime_ns, path.stat().st_ctime_ns)
            is_settled = _state(path) == before and time.time_ns() - changed_ns > SETTLED_NS
            with suppress(OSError):  # a full disk refuses no sound file
                if found == expected and is_settled:
                    write_whole(note, json.dumps(before).encode())
                    self._drop_oldest()
                else:
                    note.unlink(missing_ok=True)
        return found

    def _drop_oldest(self) -> None:
        """Keep `MAX_FILES` at most. To lose a note, or a lock that is held, only costs time."""
        files = list(self._folder.iterdir())
        if len(files) <= MAX_FILES:
            return
        files.sort(key=lambda one: one.stat().st_mtime_ns)
        for file in files[: len(files) - MAX_FILES // 2]:
            file.unlink(missing_ok=True)


def _state(path: Path) -> list[str | int]:
    """What changes when a file does."""
    found = path.stat()
    return [str(path), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _is_noted(note: Path, path: Path) -> bool:
    try:
        return bool(json.loads(note.read_bytes()) == _state(path))
    except (OSError, ValueError):
        return False
