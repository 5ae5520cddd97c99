"""How much one like or dislike teaches about its user.

A like has a *strength* in (0, 2): twice the share of all likes of the same event that have a lower value (of those with
the same value half). A typical like, and one without a value, has strength 1. Ranks need no unit: stars, prices and
seconds are read alike, and one huge value changes nothing.

Beside its strength, a like has its *events*: what the user did with the item, such as view and purchase. An event may
have a weight of its own; of several the largest counts.

A model's `Weighting` turns strengths and events into the weights by which a user profile sums item profiles. Validation
chooses it (`recsys/validation/weighting.py`). Without one every like weighs 1 and a dislike 0.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

# Shape suffixes: E events or opinions, V different values, S different sets of events.
N_LIKES, EVENTS = "n_likes", "events"
"""Columns of opinions that only some weightings read: how many interactions of a pair are likes; and the folded names
of their events, ascending, with blanks between them. null: they are not known."""
TYPICAL = 1.0
"""Strength of a like whose value says nothing."""
MOST_VALUES = 64
"""Values by which a scale is kept; others are interpolated."""
DAY_US = 86_400_000_000


class Scale(BaseModel):
    """Strengths of the values of one event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[float, ...] = Field(min_length=2)
    """Ascending."""
    strengths: tuple[float, ...]
    """Of the same, ascending, in (0, 2)."""

    @model_validator(mode="after")
    def _is_ascending(self) -> Self:
        if len(self.values) != len(self.strengths) or not (np.diff(self.values) > 0).all():
            raise ValueError("a scale needs ascending values, and one strength for each")
        return self

    @classmethod
    def of(cls, values_E: NDArray[np.float64]) -> Self | None:
        """Learn it from the values of likes.

        Args:
            values_E: finite.

        Returns:
            The scale; None where all values are equal, for then they say nothing.
        """
        values_V, n_V = np.unique(values_E, return_counts=True)
        if len(values_V) < 2:
            return None
        strengths_V = (2 * np.cumsum(n_V) - n_V) / n_V.sum()
        kept = np.arange(len(values_V))
        if len(values_V) > MOST_VALUES:  # about as many likes between any two kept values
            wanted = np.linspace(strengths_V[0], strengths_V[-1], MOST_VALUES)
            kept = np.unique(np.searchsorted(strengths_V, wanted).clip(max=len(values_V) - 1))
        return cls(values=tuple(values_V[kept].tolist()), strengths=tuple(strengths_V[kept].tolist()))

    def strength(self, values_E: NDArray[np.float64]) -> NDArray[np.float64]:
        """Strengths of values, [E]; values beyond the known ones have the strength of the outermost."""
        return np.asarray(np.interp(values_E, self.values, self.strengths))


Scales = Mapping[str, Scale]
"""Scale of each event that has one, by its folded name; "" is the name of rows without an event."""


class Weighting(BaseModel):
    """How strengths become weights. The default is yes or no: each like weighs 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float = Field(default=0.0, ge=0, lt=1)
    """How much the strength of a like counts: its weight is 1 + value · (strength - 1)."""
    dislike: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """A dislike weighs this much below 0."""
    repeats: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What repeating adds in the end: n likes of one item weigh 1 + repeats · (1 - 2^(1 - n)) times as much as one."""
    half_life_days: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Weights halve with each such time before the user's latest like or dislike that holds. None: age does not matter.
    Interactions at unknown times count as latest."""
    scales: dict[str, Scale] = {}
    """What strengths were read with."""
    events: dict[str, float] = {}
    """Folded event -> factor on the weight of its likes, above 0; of the events of one pair the largest counts, and 1
    for those that are not here. Empty, and not written: all events are alike."""

    alike: float = Field(default=0.0, ge=0, le=1)
    """How much less a like counts that the user's other likes resemble, see `recsys.profiles.alike`. 0, and not
    written: likes count whatever the others are."""

    @field_validator("events")
    @classmethod
    def _in_order(cls, events: dict[str, float]) -> dict[str, float]:
        """Check the weights, and sort by event: the hash of a model covers the order."""
        if not all(0 < weight < np.inf for weight in events.values()):
            raise ValueError("the weight of an event must be above 0 and finite")
        return dict(sorted(events.items()))

    @model_serializer(mode="wrap")
    def _without_events(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `events` and `alike` out where they change nothing, which keeps the hashes of other models."""
        written: dict[str, Any] = plain(self)
        for name in ("events", "alike"):
            if not getattr(self, name):
                written.pop(name, None)
        return written

    @property
    def changes_nothing(self) -> bool:
        """Whether users are plain sums of what they like."""
        return self.is_yes_or_no and not self.alike

    @property
    def is_yes_or_no(self) -> bool:
        """Whether every like weighs 1 and a dislike 0, before likes that are alike count less."""
        return not (self.value or self.dislike or self.repeats or self.half_life_days or self.events)

    @property
    def columns(self) -> tuple[str, ...]:
        """Which of N_LIKES and EVENTS it reads."""
        return (*([N_LIKES] if self.repeats else []), *([EVENTS] if self.events else []))

    @property
    def name(self) -> str:
        """The choice in words, for reports."""
        parts = [f"value {self.value:g}"] if self.value else []
        parts += [f"dislikes {self.dislike:g}"] if self.dislike else []
        parts += [f"repeats {self.repeats:g}"] if self.repeats else []
        parts += [f"half-life {self.half_life_days:g} days"] if self.half_life_days else []
        by_event = [f"{name} {weight:g}" for name, weight in self.events.items()]
        parts += [f"events {' '.join(by_event)}"] if by_event else []
        parts += [f"alike likes less by {self.alike:g}"] if self.alike else []
        return ", ".join(parts) or "yes or no"

    def event_factors(self, events_S: Sequence[str | None]) -> NDArray[np.float64]:
        """Factors of some sets of events.

        Args:
            events_S: as in column EVENTS.

        Returns:
            factors_S: the largest weight among the events of each set; 1 where they are not known.
        """
        return np.array(
            [
                1.0 if names is None else max(self.events.get(name, 1.0) for name in names.split(" "))
                for names in events_S
            ],
            np.float64,
        )

    def weights(
        self,
        strengths_E: NDArray[np.floating],
        n_likes_E: NDArray[np.integer] | None = None,
        age_days_E: NDArray[np.floating] | None = None,
        factors_E: NDArray[np.floating] | None = None,
    ) -> NDArray[np.float64]:
        """Weigh opinions.

        Args:
            strengths_E: above 0 for a like, below for a dislike, 0 for an opinion that was taken back.
            n_likes_E: how often the user liked the item; None: once.
            age_days_E: days before the user's latest interaction; None: no opinion is older than another.
            factors_E: what `event_factors` gave for the events of each; None: all are alike. They do not weigh
                dislikes.

        Returns:
            weights_E: above 0 for likes, 0 or below for dislikes, 0 for the rest.
        """
        liked_E = 1 + self.value * (np.asarray(strengths_E, np.float64) - TYPICAL)
        if self.repeats and n_likes_E is not None:
            liked_E *= 1 + self.repeats * (1 - 2.0 ** (1 - np.maximum(n_likes_E, 1)))
        if factors_E is not None:
            liked_E *= factors_E
        weights_E = np.where(strengths_E > 0, liked_E, np.where(strengths_E < 0, -self.dislike, 0.0))
        if self.half_life_days is not None and age_days_E is not None:
            weights_E *= 2.0 ** (-np.maximum(age_days_E, 0) / self.half_life_days)
        return weights_E


YES_OR_NO = Weighting()
