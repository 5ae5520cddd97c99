"""Moving the pointer without building anything: roll back, resume, and the list of releases."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from recsys.errors import ReleaseError
from recsys.publishing.current import Current, Hold
from recsys.publishing.release import Manifest
from recsys.publishing.store import Pointer, ReleaseStore
from recsys.storage.protocol import Storage

PREVIOUS = "previous"


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
    """Reached from the newest one by parents; others lost a race or were cut short, and nobody ever read them."""
    n_parts: int
    n_items: int
    """Live rows over all segments, superseded ones included."""
    encoder: str
    written_at: datetime
    fault: str | None = None
    """Why its manifest cannot be read; it is listed all the same."""


def rollback(storage: Storage, release: str, who: str, why: str) -> Current:
    """Point readers to an older release, and hold: nothing newer is swapped in until `resume`.

    The same request of the same person for the same reason changes nothing while its hold stands: a task that is tried
    again does not step back twice with "previous".

    Args:
        storage: where releases live.
        release: its id, or "previous" for the parent of what readers get when this is called, whatever is published
            meanwhile.
        who: who decided.
        why: their reason.

    Returns:
        The pointer.

    Raises:
        ReleaseError: the release is unknown, damaged, incomplete or given up, or there is no previous one.
    """
    store = ReleaseStore(storage)
    first = store.current().current
    wanted = first.release if _is_done(first, release, who, why) else _target(store, first, release)

    def make(before: Pointer) -> tuple[str, Hold | None, str, int] | None:
        # Also after a swap whose reply was lost, whatever was published under the hold since then.
        if _is_done(before.current, release, who, why):
            return None
        target = store.manifest(wanted)
        _refuse_given_up(store, before.current, target)
        store.require_objects(target)
        return target.id, Hold(who=who, why=why, head=before.current.head), who, 0

    return store.change(make)


def _is_done(current: Current, release: str, who: str, why: str) -> bool:
    """Whether the same request was carried out, and still holds."""
    hold = current.hold
    return hold is not None and (hold.who, hold.why) == (who, why) and release in (PREVIOUS, current.release)


def resume(storage: Storage, who: str) -> Current:
    """End the hold: readers get the newest release that was built. Without a hold nothing changes.

    Args:
        storage: where releases live.
        who: who decided.

    Returns:
        The pointer.

    Raises:
        ReleaseError: nothing is published, or the newest release is incomplete.
    """
    store = ReleaseStore(storage)

    def make(before: Pointer) -> tuple[str, Hold | None, str, int] | None:
        if before.current.hold is None:
            return None
        store.require_objects(store.manifest(before.current.head))
        return before.current.head, None, who, 0

    return store.change(make)


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
    """Manifests by release, and what is wrong with those that cannot be read."""
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


def _refuse_given_up(store: ReleaseStore, current: Current, target: Manifest) -> None:
    if target.id in (current.release, current.head):
        return
    remedy = "`recsys releases` lists what is kept"
    if target.sequence < current.collected_below:
        raise ReleaseError(f"release {target.id} was given up by `collect`", remedy=remedy)
    step = store.manifest(current.head)
    while step.sequence > target.sequence and step.parent:
        step = store.manifest(step.parent)
    if step.id != target.id:  # `collect` may delete it at any moment
        raise ReleaseError(f"release {target.id} lost a race and was never published", remedy=remedy)


def _target(store: ReleaseStore, current: Current, release: str) -> str:
    if release != PREVIOUS:
        return release
    parent = store.manifest(current.release).parent
    if parent is None:
        raise ReleaseError(
            f"release {current.release} is the first: there is no previous one", remedy="none needed"
        )
    return parent
