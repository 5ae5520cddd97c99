"""Checks of landing zone, release store and states for `doctor`: access, compare-and-swap, clocks, signatures."""

import os
from datetime import UTC, datetime

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.catalogue.misplaced import misplaced
from recsys.effects.finding import Finding
from recsys.errors import SwapLost
from recsys.storage.clock import time_of_storage
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage

PROBE = "doctor/probe"
"""Object that is written to try compare-and-swap, and deleted afterwards."""
MAX_SKEW_S = 60
"""Largest difference between this machine's clock and the store's that needs no warning."""


def landing_zone(at: Artifacts) -> Finding:
    """The landing zone can be listed."""
    url = os.environ.get("RECSYS_LANDING")
    if not url:
        return Finding(
            "landing zone", "warn", "RECSYS_LANDING is not set", "export RECSYS_LANDING=folder or s3://…"
        )
    zone = open_storage(url)
    found = zone.list("")
    if strays := misplaced(zone.top()):
        return Finding("landing zone", "warn", f"{zone.url}: {'; '.join(strays)}", "move or remove them")
    return Finding("landing zone", "ok", f"{zone.url}: {len(found)} objects")


def release_store(at: Artifacts) -> Finding:
    """The store can be written, and honours compare-and-swap: otherwise two publishers could both succeed."""
    url = os.environ.get("RECSYS_STORE")
    if not url:
        return Finding(
            "release store", "warn", "RECSYS_STORE is not set", "export RECSYS_STORE=folder or s3://…"
        )
    return _swaps("release store", open_storage(url))


def states(at: Artifacts) -> Finding:
    """For workers that share no disk: their states can be swapped, and DVC has a remote for the data."""
    url = os.environ.get("RECSYS_STATE")
    if not url:
        return Finding("states", "ok", "RECSYS_STATE is not set: all workers see the same disk")
    if not dvc.has_remote(at.root):
        found = "RECSYS_STATE is set, but DVC has no remote: other workers could not bring the data"
        return Finding("states", "fail", found, "dvc remote add --default NAME s3://bucket/prefix")
    return _swaps("states", open_storage(url))


def signatures(at: Artifacts) -> Finding:
    """Releases are signed and verified, and the current release passes."""
    from recsys.publishing.signing import SIGNING_KEY, VERIFY_KEY, key_id, signing_key, verify_keys
    from recsys.publishing.store import ReleaseStore

    trusted, private = [key_id(key) for key in verify_keys()], signing_key()
    if private and key_id(private.public_key()) not in trusted:
        found = f"{SIGNING_KEY} is key {key_id(private.public_key())}, which {VERIFY_KEY} lacks"
        return Finding(
            "signatures", "fail" if trusted else "warn", found, f"export {VERIFY_KEY}=verify.pem here too"
        )
    if not trusted:
        found = f"{VERIFY_KEY} is not set: anybody who can write to the store decides what readers get"
        return Finding("signatures", "warn", found, "recsys keys make; docs/operations.md, Sign releases")
    url = os.environ.get("RECSYS_STORE")
    pointer = ReleaseStore(open_storage(url)).pointer() if url else None
    if url and pointer:
        ReleaseStore(open_storage(url)).manifest(pointer.current.release)
    return Finding("signatures", "ok", f"trusted: {', '.join(trusted)}")


def _swaps(name: str, store: Storage) -> Finding:
    """Whether a store can be written, and honours compare-and-swap."""
    store.delete(PROBE)
    try:
        store.swap(PROBE, b"first", None)
        first = store.read_tagged(PROBE)
        store.swap(PROBE, b"second", first[1] if first else None)
        stale = (None, first[1] if first else None)
        honoured = all([_is_refused(store, expected) for expected in stale])
    finally:
        store.delete(PROBE)
    if honoured:
        return _with_clock(name, store, f"{store.url}: writable, compare-and-swap holds")
    remedy = (
        "use a store that honours If-None-Match and If-Match (AWS S3, SeaweedFS, MinIO); rclone's S3 does not"
    )
    return Finding(name, "fail", f"{store.url} ignores conditional writes", remedy)


def _is_refused(store: Storage, expected: str | None) -> bool:
    """Whether a swap with an outdated expectation is refused, as it must be."""
    try:
        store.swap(PROBE, b"third", expected)
    except SwapLost:
        return True
    return False


def _with_clock(name: str, store: Storage, found: str) -> Finding:
    """Complete a finding: does this machine's clock agree with the store's?"""
    ahead_s = (datetime.now(UTC) - time_of_storage(store)).total_seconds()
    if abs(ahead_s) < MAX_SKEW_S:
        return Finding(name, "ok", found)
    relation = "ahead of" if ahead_s > 0 else "behind"
    remedy = "synchronise the clock (NTP): ingest quarantines interactions that seem to lie in the future"
    return Finding(name, "warn", f"{found}; this clock is {abs(ahead_s):.0f} s {relation} its", remedy)
