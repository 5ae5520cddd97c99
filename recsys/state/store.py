"""States in a folder or a bucket: `<name>/STATE`, swapped by compare-and-swap, and `<name>/files/<object>`.

An object is written once, under a name of its own. A worker reuses an object only if the version that it replaces names
it. So an object that a version no longer names never comes back, and can be deleted at once, however slow other workers
are: a worker that needs the same bytes again stores them under another name, or loses its swap.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from recsys.errors import StorageError, SwapLost
from recsys.state.document import CarriedFile, State
from recsys.storage.atomic import whole_file
from recsys.storage.protocol import Storage, Stored

DOCUMENT = "STATE"
FILES = "files"
OBJECT_KEY = re.compile(rf"([^/]+)/{FILES}/([0-9a-f]{{64}}(?:-[0-9a-f]{{12}})?)")
"""State and object; objects of format 1 are named by their checksum alone."""
ABANDONED = timedelta(days=7)
"""No worker takes as long from storing a file to the swap that names it."""
THREADS = 8
"""Requests at the same time: most wait for the store."""


@dataclass(frozen=True)
class StateStore:
    """The states of all workspaces of one deployment."""

    storage: Storage

    def names(self, beginning: str = "") -> tuple[str, ...]:
        """Names of the states that begin so, sorted."""
        folders = (name.removesuffix("/") for name in self.storage.top() if name.endswith("/"))
        return tuple(name for name in folders if name.startswith(beginning) and self.read(name))

    def read(self, name: str) -> tuple[State, str] | None:
        """A state, and the tag that `swap` expects; None where there is none."""
        found = self.storage.read_tagged(f"{name}/{DOCUMENT}")
        if found is None or not found[0]:
            return None
        return State.parse(found[0], f"{self.storage.url}/{name}/{DOCUMENT}"), found[1]

    def written(self, name: str) -> Stored | None:
        """The document of a state as an object, with the time when it was written; None where there is none."""
        return self.storage.find(f"{name}/{DOCUMENT}")

    def swap(self, name: str, state: State, tag: str | None) -> None:
        """Make `state` the current one if `tag` still is.

        Args:
            name: of the workspace.
            state: with a nonce of its own.
            tag: of the version that it replaces; None: there is none.

        Raises:
            SwapLost: another worker was faster.
            StorageError: the store refuses writes.
        """
        try:
            self.storage.swap(f"{name}/{DOCUMENT}", state.document(), tag)
        except StorageError:  # the reply may be lost after a success
            found = self.read(name)
            if found is not None and found[0].nonce == state.nonce:
                return
            if (found[1] if found else None) != tag:
                raise SwapLost(
                    f"{self.storage.url}/{name}/{DOCUMENT} was changed by another worker"
                ) from None
            raise

    def upload(
        self, name: str, files: Iterable[tuple[CarriedFile, Path]], objects: Mapping[str, str]
    ) -> tuple[dict[str, str], int]:
        """Store files, each under a name of its own.

        Args:
            name: of the workspace.
            files: each with the local file that holds it.
            objects: checksum -> object, of what need not be stored: what the version to be replaced names, and what the
                caller has stored for this swap already.

        Returns:
            Checksum -> object of what was stored, and its bytes.

        Raises:
            StorageError: the store refuses writes, or a local file is gone.
        """
        missing = {file.sha256: (file, path) for file, path in files if file.sha256 not in objects}
        new = {sha256: f"{sha256}-{uuid4().hex[:12]}" for sha256 in missing}

        def send(pair: tuple[CarriedFile, Path]) -> None:
            self.storage.write(_key(name, new[pair[0].sha256]), pair[1])

        _at_once(send, list(missing.values()))
        return new, sum(file.size for file, _ in missing.values())

    def download(self, name: str, state: State, files: Iterable[tuple[CarriedFile, Path]]) -> int:
        """Bring files to their places, atomically each.

        Args:
            name: of the workspace.
            state: names the files.
            files: each with its place.

        Returns:
            Bytes that were brought.

        Raises:
            StorageError: one is missing or damaged.
        """
        found = list(files)

        def bring(pair: tuple[CarriedFile, Path]) -> None:
            file, place = pair
            key = _key(name, state.object_of(file))
            with whole_file(place) as temporary:
                self.storage.fetch(key, temporary)
                if CarriedFile.of(temporary) != file:
                    raise StorageError(
                        f"{self.storage.url}/{key}, {place.name} of the workspace, is damaged",
                        remedy="delete it, and run the task that made it again",
                    )

        _at_once(bring, found)
        return sum(file.size for file, _ in found)

    def delete(self, name: str, objects: Iterable[str]) -> None:
        """Delete objects that no version names any more, or that no other worker knows about.

        A worker that is bringing the previous version then reads the new one.
        """
        for gone in sorted(objects):
            with suppress(StorageError):
                self.storage.delete(_key(name, gone))

    def tidy(self) -> int:
        """Delete objects that no version names, left by workers that were killed between storing them and the swap.

        Only objects that are older than the newest one in the store by more than ABANDONED are deleted: younger ones
        may belong to a worker that is about to swap. Both times are the store's own. What no worker can have stored, by
        its name, stays, such as a remote of DVC in the same bucket.

        Returns:
            Number of deleted objects.

        Raises:
            StorageError: the store is out of reach.
        """
        listed = self.storage.list("")
        newest = max((stored.modified for stored in listed), default=None)
        old: dict[str, set[str]] = {}
        for stored in listed:
            key = OBJECT_KEY.fullmatch(stored.key)
            if key and newest is not None and stored.modified < newest - ABANDONED:
                old.setdefault(key[1], set()).add(key[2])
        strays = dict[str, set[str]]()
        for name, objects in old.items():
            found = self.read(name)
            strays[name] = objects.difference(found[0].held().values() if found else ())
            self.delete(name, strays[name])
        return sum(map(len, strays.values()))

    def remove(self, name: str) -> None:
        """Remove a state with its files, the document first."""
        self.storage.delete(f"{name}/{DOCUMENT}")
        for stored in self.storage.list(f"{name}/"):
            self.storage.delete(stored.key)


def _key(name: str, stored: str) -> str:
    return f"{name}/{FILES}/{stored}"


def _at_once(call: Callable[[tuple[CarriedFile, Path]], None], pairs: list[tuple[CarriedFile, Path]]) -> None:
    with ThreadPoolExecutor(THREADS, "state") as threads:
        for _ in threads.map(call, pairs):
            pass
