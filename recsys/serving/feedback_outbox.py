"""The outbox: events of the feedback store become files of interactions in the landing zone, each in exactly one file.

Write boundaries, in order: the plan (which events make which file, and its name, a hash of its content) in one
transaction; the file; the note that it has landed. Killed between any two, the next run writes the same bytes under
the same name, or finds that they are there or that intake has taken them. Each row carries the user's pseudonym and its
signature, which is what intake accepts in place of a raw id: so no raw user id is stored anywhere.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.landing import PROCESSED
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.schemas import PSEUDONYM, SIGNATURE
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event, as_event, microseconds
from recsys.serving.feedback_tables import batches, events
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Shipped:
    """What one run of `ship` did."""

    keys: tuple[str, ...] = ()
    """Files in the landing zone."""
    n_events: int = 0
    is_busy: bool = False
    """Another process ships just now; nothing was done."""


def ship(store: FeedbackStore, landing: Storage, pseudonyms: Pseudonyms, max_events: int = 50_000) -> Shipped:
    """Write all events that are in no file yet into the landing zone. Safe to repeat and to kill.

    Args:
        store: the feedback store.
        landing: the landing zone.
        pseudonyms: sign the pseudonyms, for intake.
        max_events: of one file.

    Returns:
        What was written.

    Raises:
        ConfigError: the key is not the one behind the store's pseudonyms.
        StorageError: the database or the landing zone is out of reach; a later run goes on.
    """
    store.require_key(pseudonyms)
    with store.shipping() as is_mine:
        if not is_mine:
            return Shipped(is_busy=True)
        finished = [_finish(store, landing, pseudonyms, batch, True) for batch in _unfinished(store)]
        while (batch := _plan(store, pseudonyms, max_events)) is not None:
            finished.append(_finish(store, landing, pseudonyms, batch, False))
        return Shipped(tuple(key for key, _ in finished if key), sum(n for _, n in finished))


def as_file(shipped: Iterable[Event], pseudonyms: Pseudonyms) -> bytes:
    """Events as intake reads them: JSON lines. The same events give the same bytes.

    Args:
        shipped: in order of arrival; their times are known.
        pseudonyms: sign.

    Returns:
        One line per event.
    """
    return "".join(f"{json.dumps(_line(event, pseudonyms), sort_keys=True)}\n" for event in shipped).encode()


def _line(event: Event, pseudonyms: Pseudonyms) -> dict[str, object]:
    assert event.at is not None
    value = {} if event.value is None else {"value": event.value}
    return value | {
        "event_id": event.event_id,
        PSEUDONYM: event.user,
        SIGNATURE: pseudonyms.signature(event.user),
        "item_id": event.item_id,
        "event": event.event,
        "timestamp": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
    }


def _unfinished(store: FeedbackStore) -> list[int]:
    """Files that a killed run planned: they may be in the landing zone, or not."""
    with store.reading() as connection:
        left = sa.select(batches.c.id).where(batches.c.landed_us.is_(None)).order_by(batches.c.id)
        return list(connection.execute(left).scalars())


def _plan(store: FeedbackStore, pseudonyms: Pseudonyms, max_events: int) -> int | None:
    """Plan a file of the oldest events that are in none; None where there are none."""
    with store.reaching(), store.engine.begin() as connection:
        free = sa.select(events.c.seq).where(events.c.batch.is_(None))
        oldest = free.order_by(events.c.seq).limit(max_events).subquery()
        last: int | None = connection.execute(sa.select(sa.func.max(oldest.c.seq))).scalar()
        if last is None:
            return None
        batch: int = connection.execute(batches.insert().returning(batches.c.id)).scalar_one()
        mine = sa.update(events).where(events.c.batch.is_(None), events.c.seq <= last)
        connection.execute(mine.values(batch=batch))
        _name(connection, batch, _events_of(connection, batch), pseudonyms)
    return batch


def _finish(
    store: FeedbackStore, landing: Storage, pseudonyms: Pseudonyms, batch: int, is_resumed: bool
) -> tuple[str, int]:
    """Write a planned file, unless a killed run did, and note it. Returns its key and number of events."""
    with store.reading() as connection:
        planned = connection.execute(sa.select(batches.c.name).where(batches.c.id == batch)).scalar_one()
    key = f"{INTERACTIONS}/{planned}"
    is_there = is_resumed and _has_landed(landing, key)  # outside of a transaction: writers would wait for it
    with store.reaching(), store.engine.begin() as connection:
        found = _events_of(connection, batch)
        if not is_there and not found:  # a person was forgotten meanwhile, who did all that was in it
            connection.execute(sa.delete(batches).where(batches.c.id == batch))
            return "", 0
        if not is_there:
            key = f"{INTERACTIONS}/{_name(connection, batch, found, pseudonyms)}"
    if not is_there:
        landing.write(key, as_file(found, pseudonyms))
    with store.reaching(), store.engine.begin() as connection:
        noted = sa.update(batches).where(batches.c.id == batch)
        connection.execute(noted.values(landed_us=microseconds(datetime.now(UTC))))
    return key, len(found)


def _events_of(connection: Connection, batch: int) -> list[Event]:
    mine = sa.select(events).where(events.c.batch == batch).order_by(events.c.seq)
    return [as_event(row) for row in connection.execute(mine)]


def _name(connection: Connection, batch: int, planned: list[Event], pseudonyms: Pseudonyms) -> str:
    """Store the name of a file: its number, and the hash of its content."""
    digest = hashlib.sha256(as_file(planned, pseudonyms)).hexdigest()
    name = f"feedback-{batch:09d}-{digest[:16]}.jsonl"
    connection.execute(sa.update(batches).where(batches.c.id == batch).values(name=name))
    return name


def _has_landed(landing: Storage, key: str) -> bool:
    """Whether the file is there, or was taken in. Looked for in this order: intake moves it the same way."""
    if landing.find(key) is not None:
        return True
    name = key.rpartition("/")[2]
    return any(stored.key.endswith(f"/{name}") for stored in landing.list(f"{PROCESSED}/"))
