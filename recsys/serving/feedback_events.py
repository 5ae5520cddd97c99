"""One event of feedback, and how it is stored."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from recsys.catalogue.fields import EVENT_FORM, BadRow, identifier
from recsys.catalogue.pseudonyms import PSEUDONYM_FORM

EVENT_ID_FORM = re.compile(r"[!-~]{1,128}")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """What one user did with one item. Values that intake would quarantine raise ValueError, which names the field."""

    event_id: str
    """Chosen by the client: 1 to 128 visible ASCII characters. A repeated event has the same id."""
    user: str
    """Pseudonym."""
    item_id: str
    event: str
    """Such as click or rating."""
    value: float | None = None
    at: datetime | None = None
    """When it happened, aware; None: when it is stored."""
    release: str | None = None
    """The release whose list the user acted on."""

    def __post_init__(self) -> None:
        if not EVENT_ID_FORM.fullmatch(self.event_id):
            raise ValueError("event_id should be 1 to 128 visible ASCII characters without blanks")
        if not PSEUDONYM_FORM.fullmatch(self.user):
            raise ValueError("user should be a pseudonym")
        try:
            is_plain = bool(self.item_id) and identifier(self.item_id, "item_id") == self.item_id
        except BadRow as fault:
            raise ValueError(fault.detail) from fault
        if not is_plain:
            raise ValueError("item_id should have visible characters, and no blanks around them")
        if not EVENT_FORM.fullmatch(self.event):
            raise ValueError("event should be one short word such as view, click, purchase or rating")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError("value should be a finite number")
        if self.at is not None and (self.at.tzinfo is None or self.at < EPOCH):
            raise ValueError("at should be a time since 1970 with its offset from UTC")

    def repeats(self, stored: "Event") -> bool:
        """Whether this is the stored event once more. A time that is not stated fits every time."""
        same = (self.user, self.item_id, self.event, self.value) == (
            stored.user,
            stored.item_id,
            stored.event,
            stored.value,
        )
        return same and self.at in {None, stored.at}


@dataclass(frozen=True)
class Added:
    """What became of events."""

    n_new: int
    n_known: int
    """Stored before, or given twice."""


@dataclass(frozen=True)
class Waiting:
    """Events that the current release does not hold."""

    n_unshipped: int
    n_shipped: int
    """Events in the landing zone, or in data/."""
    oldest: datetime | None
    """When the oldest of them happened."""


def as_row(event: Event, now: datetime) -> dict[str, Any]:
    """An event as columns of the table `feedback_events`.

    Args:
        event: as it came.
        now: time of an event that states none.

    Returns:
        Column -> value.
    """
    return {
        "event_id": event.event_id,
        "user": event.user,
        "item_id": event.item_id,
        "event": event.event,
        "value": event.value,
        "at_us": microseconds(event.at or now),
        "release": event.release,
    }


def as_event(row: Any) -> Event:  # noqa: ANN401  SQLAlchemy's row
    """An event from columns of the table `feedback_events`."""
    return Event(row.event_id, row.user, row.item_id, row.event, row.value, moment(row.at_us), row.release)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1)


def moment(at_us: int) -> datetime:
    """The time that is so many microseconds after 1970, in UTC."""
    return EPOCH + timedelta(microseconds=at_us)
