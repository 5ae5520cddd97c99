"""Make manifest entries of a workspace's files. A published file named by content key is not read again."""

from collections.abc import Iterable
from pathlib import Path

from recsys.publishing.entries import File
from recsys.storage.checksums import sha256_of_file


class Hasher:
    """Makes File entries, remembers their paths, and hashes no file twice."""

    def __init__(self, known: Iterable[File]) -> None:
        self._known = {(file.name, file.size): file for file in known}
        self.sources: dict[str, Path] = {}

    def keyed(self, path: Path) -> File:
        """Entry of a file that is named by content key. If this name was published before, it is not read again."""
        known = self._known.get((path.name, path.stat().st_size))
        return self._remember(known, path) if known else self.hashed(path)

    def hashed(self, path: Path) -> File:
        """Any file."""
        found = File(name=path.name, size=path.stat().st_size, sha256=sha256_of_file(path))
        return self._remember(found, path)

    def named(self, file: File, path: Path) -> File:
        """Entry of a file whose checksum is known."""
        return self._remember(file, path)

    def _remember(self, file: File, path: Path) -> File:
        self.sources[file.sha256] = path
        return file
