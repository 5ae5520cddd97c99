"""The list of stored releases, and which of them follow from each other."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from recsys.errors import ReleaseError
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Listed:
    """One stored release, as `recsys releases` shows it."""

    release: str
    parent: str | None
    is_current: bool
    """Readers get this one."""
    is_head: bool
    """The newest one; under a hold it waits for `resume`."""
    in_line: bool
    """An ancestor of the newest one, or itself. Others lost a race or were interrupted; they were never published."""
    n_parts: int
    n_items: int
    """Live rows of all segments, including superseded ones."""
    encoder: str
    written_at: datetime
    fault: str | None = None
    """Why its manifest cannot be read, where it cannot."""


def releases(storage: Storage) -> tuple[Listed, ...]:
    """Every stored release, newest first.

    Args:
        storage: where releases live.

    Returns:
        One entry per stored manifest; those that cannot be read come last.

    Raises:
        ReleaseError: the pointer is damaged or of a newer format.
    """
    store = ReleaseStore(storage)
    pointer = store.pointer()
    stored = store.release_ids()
    manifests, faults = _readable(store, stored)
    line = lineage(pointer.current.head, manifests) if pointer else ()
    listed = [
        Listed(
            release=release,
            parent=manifest.parent,
            is_current=bool(pointer and release == pointer.current.release),
            is_head=bool(pointer and release == pointer.current.head),
            in_line=release in line,
            n_parts=len(manifest.parts),
            n_items=sum(segment.n_items for segment in manifest.segments),
            encoder=manifest.model.hash,
            written_at=stored[release],
        )
        for release, manifest in sorted(manifests.items(), key=lambda m: (-m[1].sequence, m[0]))
    ]
    listed += [
        Listed(one, None, False, False, False, 0, 0, "", stored[one], says) for one, says in faults.items()
    ]
    return tuple(listed)


def _readable(store: ReleaseStore, stored: Iterable[str]) -> tuple[dict[str, Manifest], dict[str, str]]:
    """Manifests by release, and faults of those that cannot be read."""
    manifests: dict[str, Manifest] = {}
    faults: dict[str, str] = {}
    for release in stored:
        try:
            manifests[release] = store.manifest(release)
        except ReleaseError as error:
            faults[release] = str(error)
    return manifests, faults


def lineage(head: str, manifests: dict[str, Manifest]) -> tuple[str, ...]:
    """The newest release and its ancestors as far as they are stored, newest first."""
    line: list[str] = []
    step: str | None = head
    while step in manifests and step not in line:
        line.append(step)
        step = manifests[step].parent
    return tuple(line)
