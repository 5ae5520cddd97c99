"""Items that a person keeps out of all lists for a while, such as a recalled toy: `publish.withhold`.

A release carries them, so readers honour them as soon as they open it. When `until` has passed the items come back by
themselves; nothing needs to be published for that.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _as_text(value: object) -> object:
    """YAML reads 4711 as a number; ids and tags are texts."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_moment(value: object) -> object:
    """A date alone means its first moment, in UTC."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


Name = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]


class Withheld(BaseModel):
    """Items that are in no list."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    items: tuple[Name, ...] = ()
    """Ids."""
    tags: tuple[Name, ...] = ()
    """All items with one of these tags, those that arrive later among them."""
    who: str = Field(min_length=1)
    """Who decided it."""
    why: str = Field(min_length=1)
    """The reason, shown by explanations and `recsys doctor`."""
    until: Annotated[AwareDatetime, BeforeValidator(_as_moment)] | None = None
    """When they come back; a time with its zone, or a date in UTC. None: when the entry is taken out."""

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.items and not self.tags:
            raise ValueError("name items or tags to withhold")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether it applies at this time."""
        return self.until is None or now < self.until

    @property
    def sentence(self) -> str:
        """Who withholds, why, and until when, for people."""
        end = f", until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"withheld by {self.who}: {self.why}{end}"


def in_force(entries: Sequence[Withheld], now: datetime) -> tuple[Withheld, ...]:
    """The entries that apply at this time, in order."""
    return tuple(one for one in entries if one.holds(now))
