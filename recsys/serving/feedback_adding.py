"""How events enter the feedback store: each id once."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from recsys.errors import ConflictError
from recsys.serving.feedback_events import Event, as_event
from recsys.serving.feedback_tables import events, inserting

ROWS_PER_STATEMENT = 500


def add_events(connection: Connection, first: dict[str, Event], rows: Sequence[dict[str, Any]]) -> set[str]:
    """Insert what is not known; the rest must be as it is stored.

    Args:
        connection: in a transaction that may write.
        first: events by id.
        rows: the same as columns.

    Returns:
        Ids of the new ones.

    Raises:
        ConflictError: an event's id is known with other content.
    """
    insert, found = inserting(connection), set[str]()
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        some = rows[start : start + ROWS_PER_STATEMENT]
        adding = insert(events).values(some).on_conflict_do_nothing(index_elements=["event_id"])
        new = set(connection.execute(adding.returning(events.c.event_id)).scalars())
        found |= new
        if known := [row["event_id"] for row in some if row["event_id"] not in new]:
            for stored in connection.execute(sa.select(events).where(events.c.event_id.in_(known))):
                if not first[stored.event_id].repeats(as_event(stored)):
                    raise conflict(first[stored.event_id])
    return found


def conflict(event: Event) -> ConflictError:
    """That an event's id is taken.

    Args:
        event: the one that came later.

    Returns:
        The error.
    """
    remedy = "give every event an id of its own, such as a UUID; repeat an event with the same content only"
    return ConflictError(f"event {event.event_id!r} is known with other content", remedy=remedy)
