"""Effect `rollback`: point readers to an older release, and hold what is published from now on."""

from recsys.errors import ReleaseError
from recsys.publishing.current import Current, Hold
from recsys.publishing.release import Manifest
from recsys.publishing.store import Pointer, ReleaseStore
from recsys.storage.protocol import Storage

PREVIOUS = "previous"


def rollback(storage: Storage, release: str, who: str, why: str) -> Current:
    """Point readers to an older release, and hold it there: no newer release becomes current until `resume`.

    Safe to repeat: while the hold lasts, the same request of the same person for the same reason changes nothing. So a
    retried task does not step back twice with "previous".

    Args:
        storage: where releases live.
        release: its id, or "previous" for the parent of the release that is current when this is called.
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
        # This also recognises a swap whose reply was lost, whatever was published under the hold since.
        if _is_done(before.current, release, who, why):
            return None
        target = store.manifest(wanted)
        _refuse_given_up(store, before.current, target)
        store.require_objects(target)
        return target.id, Hold(who=who, why=why, head=before.current.head), who, 0

    return store.change(make)


def _is_done(current: Current, release: str, who: str, why: str) -> bool:
    """Whether the same request has been fulfilled already, and its hold still lasts."""
    hold = current.hold
    return hold is not None and (hold.who, hold.why) == (who, why) and release in (PREVIOUS, current.release)


def _refuse_given_up(store: ReleaseStore, current: Current, target: Manifest) -> None:
    if target.id in (current.release, current.head):
        return
    remedy = "`recsys releases` lists what is kept"
    if target.sequence < current.collected_below:
        raise ReleaseError(f"release {target.id} may be deleted by `collect` at any moment", remedy=remedy)
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
