"""Objects that hold a forgotten person: old releases name them, and `collect` removes these by a deadline.

`FORGOTTEN` in the store lists the objects, and since when. It names nobody.
"""

import json
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from uuid import uuid4

from recsys.errors import ReleaseError, SwapLost
from recsys.publishing.entries import File
from recsys.publishing.release import Manifest
from recsys.storage.clock import time_of_storage
from recsys.storage.protocol import Storage

FORGOTTEN = "FORGOTTEN"
Change = Callable[[dict[str, datetime]], dict[str, datetime]]


def forgotten(storage: Storage) -> dict[str, datetime]:
    """Every object that holds somebody who was forgotten.

    Args:
        storage: the release store.

    Returns:
        SHA-256 -> since when it should go.

    Raises:
        ReleaseError: the record is damaged.
    """
    return _parsed(storage)[0]


def remember(storage: Storage, objects: Collection[str]) -> None:
    """Record that objects hold a forgotten person. Earlier records keep their time. Safe to repeat.

    Args:
        storage: the release store.
        objects: their SHA-256.

    Raises:
        ReleaseError: the record is damaged.
        StorageError: the store cannot be reached.
    """
    if not objects:
        return
    new = dict.fromkeys(objects, time_of_storage(storage))
    _change(storage, lambda known: new | known)


def drop_missing(storage: Storage, existing: Collection[str]) -> None:
    """Drop the records of objects that no longer exist.

    Args:
        storage: the release store.
        existing: SHA-256 of the objects that it holds.

    Raises:
        ReleaseError: the record is damaged.
        StorageError: the store cannot be reached.
    """
    _change(storage, lambda known: {sha256: since for sha256, since in known.items() if sha256 in existing})


def overdue(known: dict[str, datetime], days: float, now: datetime) -> frozenset[str]:
    """The objects whose deadline has passed."""
    return frozenset(sha256 for sha256, since in known.items() if since + timedelta(days=days) <= now)


def holds(manifest: Manifest, objects: Collection[str]) -> bool:
    """Whether a release names one of the objects."""
    return any(file.sha256 in objects for file in files_about_people(manifest))


def files_about_people(manifest: Manifest) -> tuple[File, ...]:
    """Files of a release that may name a person: histories, and facts of a graph that contains users."""
    histories = [history.file for history in manifest.histories]
    return (*histories, *(segment.facts for segment in manifest.segments if segment.facts))


def _change(storage: Storage, change: Change) -> None:
    while True:
        known, tag = _parsed(storage)
        changed = change(known)
        if changed == known:
            return
        plain = {"format": 1, "objects": {sha: since.isoformat() for sha, since in sorted(changed.items())}}
        try:
            storage.swap(FORGOTTEN, json.dumps(plain | {"nonce": uuid4().hex}).encode(), tag)
        except SwapLost:
            continue
        return


def _parsed(storage: Storage) -> tuple[dict[str, datetime], str | None]:
    found = storage.read_tagged(FORGOTTEN)
    if found is None:
        return {}, None
    try:
        objects = json.loads(found[0])["objects"]
        return {sha: datetime.fromisoformat(since) for sha, since in objects.items()}, found[1]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        remedy = "delete it, then run `recsys forget` again for those who were forgotten lately"
        raise ReleaseError(f"{FORGOTTEN} in {storage.url} is damaged", remedy=remedy) from error
