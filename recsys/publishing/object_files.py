"""Objects of a release as local files: in place where the store is a folder, else in a content-addressed cache."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from recsys.errors import ReleaseError
from recsys.publishing.entries import File
from recsys.publishing.store import object_key
from recsys.publishing.verified import VerifiedFiles
from recsys.storage.folder import FolderStorage
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class ObjectFiles:
    """Local files of a release's objects. What comes from the store is verified before its first use."""

    storage: Storage
    cache: Path
    """Downloads go to <cache>/objects/<sha256>; <cache>/verified remembers which files were verified."""
    sources: Mapping[str, Path] = field(default_factory=dict)
    """checksum -> this workspace's own file, which needs neither download nor verification."""
    _verified: set[str] = field(default_factory=set)

    def bring(self, files: Iterable[File]) -> None:
        """Download and verify several files at once, the largest first.

        Args:
            files: entries of the manifest.

        Raises:
            ReleaseError: an object is corrupt or missing; names it.
        """
        by_size = sorted(files, key=lambda file: -file.size)
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "verify") as threads:
            for _ in threads.map(self.path, by_size):
                pass

    def path(self, file: File, *, anew: bool = False) -> Path:
        """The local file, verified.

        Args:
            file: an entry of the manifest.
            anew: verify it even if it was verified before and has not changed since.

        Returns:
            The path of a file with that checksum.

        Raises:
            ReleaseError: the object is corrupt or missing; names it.
        """
        if source := self.sources.get(file.sha256):
            return source
        if isinstance(self.storage, FolderStorage):
            place = self.storage.path(object_key(file))
            self._verify(file, place, anew)
            return place
        place = self.cache / "objects" / file.sha256
        if not place.is_file() or place.stat().st_size != file.size:
            self._download(file, place)
        self._verify(file, place, anew)
        return place

    def _download(self, file: File, place: Path) -> None:
        if self.storage.find(object_key(file)) is None:
            raise ReleaseError(
                f"object {file.sha256} ({file.name}) is missing in {self.storage.url}",
                remedy="open another release; `recsys releases` lists them",
            )
        self.storage.fetch(object_key(file), place)

    def _verify(self, file: File, place: Path, anew: bool) -> None:
        if file.sha256 in self._verified and not anew:
            return
        try:
            found = VerifiedFiles(self.cache / "verified").digest(place, file.sha256, anew=anew)
        except FileNotFoundError as error:
            raise ReleaseError(
                f"object {file.sha256} ({file.name}) is missing in {self.storage.url}",
                remedy="open another release; `recsys releases` lists them",
            ) from error
        if found != file.sha256:
            if not isinstance(self.storage, FolderStorage):
                place.unlink(missing_ok=True)  # the next attempt downloads it again
            raise ReleaseError(
                f"object {file.sha256} ({file.name}) of {self.storage.url} is corrupt: its bytes give {found}",
                remedy="open another release, or publish again from a workspace that has the file",
            )
        self._verified.add(file.sha256)
