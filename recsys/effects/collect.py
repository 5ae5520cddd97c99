"""Effect `collect`: delete old releases and unneeded objects. Safe beside publishers, rollbacks and readers."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from recsys.errors import ReleaseError, SwapLost
from recsys.publishing.current import Current
from recsys.publishing.forgotten import drop_missing, forgotten, holds, overdue
from recsys.publishing.lease import Lease, lease
from recsys.publishing.listing import lineage
from recsys.publishing.params import CollectParams
from recsys.publishing.store import ReleaseStore, manifest_key, signature_key
from recsys.storage.protocol import Storage, Stored


@dataclass(frozen=True)
class Collected:
    """What was deleted."""

    releases: tuple[str, ...]
    n_objects: int
    n_bytes: int


def collect(storage: Storage, params: CollectParams) -> Collected:
    """Delete all but the newest releases, the current one and everything young.

    Only one collector works at a time, and publishers wait for it (`publishing/lease.py`). The pointer is swapped
    before anything is deleted, and records which releases are given up. So a concurrent rollback notices the collector,
    and a concurrent publisher loses its swap, starts again and uploads what was deleted. Manifests are deleted before
    the objects that no kept manifest names. Whatever is younger than the grace period, by the store's clock, is kept.
    After a kill the next run continues.

    Releases that hold a forgotten person are deleted once `forget_days` have passed, together with their older
    ancestors. The newest release and the current one always stay.

    Args:
        storage: where releases live.
        params: how many to keep, and the grace period.

    Returns:
        What was deleted.

    Raises:
        ReleaseError: nothing is published, or a manifest is damaged: nothing is deleted then.
        StorageError: the store cannot be reached.
    """
    store = ReleaseStore(storage)
    with lease(storage) as held:
        old = held.now() - timedelta(seconds=params.grace_s)
        plan = _announced(store, params, old, held)
        gone = tuple(r for r in plan.doomed if _delete_old(storage, manifest_key(r), old, held))
        for release in gone:
            _delete_old(storage, signature_key(release), old, held)
        deleted = [stored for stored in plan.stray if _delete_old(storage, stored.key, old, held)]
        drop_missing(storage, store.objects())
    return Collected(gone, len(deleted), sum(stored.size for stored in deleted))


def _delete_old(storage: Storage, key: str, old: datetime, held: Lease) -> bool:
    """Delete an object if it is still old: a publisher may have uploaded it again since the listing."""
    now = storage.find(key)
    if now is None or now.modified >= old:
        return False
    held.hold()
    storage.delete(key)
    return True


@dataclass(frozen=True)
class _Plan:
    doomed: tuple[str, ...]
    below: int
    """Sequence of the oldest release that is kept."""
    stray: tuple[Stored, ...]
    """Old objects that no kept release names, and signatures without a manifest."""


def _announced(store: ReleaseStore, params: CollectParams, old: datetime, held: Lease) -> _Plan:
    while True:
        before = store.current()
        plan = _plan(store, before.current, params, old, held)
        if not plan.doomed and not plan.stray:
            return plan
        try:
            current = before.current
            store.swap(before, current.release, current.hold, current.by, plan.below)
        except SwapLost:
            continue
        return plan


def _plan(store: ReleaseStore, current: Current, params: CollectParams, old: datetime, held: Lease) -> _Plan:
    stored = store.release_ids()
    manifests = {}
    for release in stored:
        held.hold()  # many manifests take longer to read than a lease lasts
        manifests[release] = store.manifest(release)
    due = overdue(forgotten(store.storage), params.forget_days, held.now())
    line = tuple(
        takewhile(
            lambda release: release in (current.release, current.head) or not holds(manifests[release], due),
            lineage(current.head, manifests)[: params.keep_releases],
        )
    )
    if not line:
        raise ReleaseError(
            f"release {current.head}, the newest, is missing in {store.storage.url}: nothing was deleted",
            remedy=f"restore releases/{current.head}/manifest.json from a backup",
        )
    kept = {release for release in stored if release in (*line, current.release) or stored[release] > old}
    needed = {file.sha256 for release in kept for file in manifests[release].files()}
    strays = [stored for sha, stored in store.objects().items() if sha not in needed]
    strays += _lone_signatures(store.storage)
    return _Plan(
        doomed=tuple(release for release in stored if release not in kept),
        below=min(manifests[release].sequence for release in line),
        stray=tuple(one for one in strays if one.modified < old),
    )


def _lone_signatures(storage: Storage) -> list[Stored]:
    """Signatures without a manifest: a publisher or a collector was killed between the two."""
    found = {stored.key: stored for stored in storage.list("releases/")}
    signed = {
        signature_key(release): manifest_key(release) for release in (key.split("/")[1] for key in found)
    }
    return [stored for key, stored in found.items() if key in signed and signed[key] not in found]
