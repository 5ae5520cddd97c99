"""Changes of aliases as data: ledger entries, and how open ones are settled. No MLflow here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from recsys.registry.mlflow import RegisteredVersion

GATED, FORCED, REGISTERED = "gated", "forced", "registered"
FIRST_LIGHT, BY_HAND = "first light", "by hand"
PLANNED, DONE, INTERRUPTED = "planned", "done", "interrupted"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Entry:
    """One change of an alias."""

    n: int
    """Place in the ledger, from 1."""
    at: datetime
    """UTC; for a change by hand the time when it was noticed."""
    alias: str
    previous: str | None
    """Version that had the alias before; None where none had."""
    version: str | None
    """Version that has it afterwards; None where the alias was removed."""
    model_hash: str | None
    """Model of `version`; None for one that Firstlight did not register."""
    how: str
    """gated, forced, registered, first light or by hand."""
    who: str
    why: str
    state: str
    """planned while it is under way, done, or interrupted where the alias never moved."""
    run_id: str


@dataclass(frozen=True)
class Cause:
    """How a change came about: how, by whom and why."""

    how: str
    who: str
    why: str


@dataclass(frozen=True)
class Changed:
    """A version, and how it got its alias."""

    version: RegisteredVersion
    entry: Entry | None
    """The ledger's entry; None where the version had the alias already."""


NOTICED = Cause(BY_HAND, UNKNOWN, "noticed: the alias was moved by other means than Firstlight's commands")


@dataclass(frozen=True)
class Move:
    """A wanted change."""

    alias: str
    to: RegisteredVersion
    cause: Cause
    over: str | None = None
    """The version that must still have the alias, because the gate compared with it; None: any."""


def settle(
    found: Sequence[Entry], current: Mapping[str, str], wanted: Move | None
) -> tuple[dict[str, str], dict[str, tuple[str | None, str | None]]]:
    """Compare the ledger with the current aliases.

    Args:
        found: the ledger, oldest first.
        current: alias -> version.
        wanted: a change that is about to be made; other planned changes of the same alias become interrupted.

    Returns:
        Run id -> new state, for each planned entry that is settled now; alias -> (previous, version), for each alias
        that was moved by other means.
    """
    states: dict[str, str] = {}
    by_hand: dict[str, tuple[str | None, str | None]] = {}
    for alias in sorted({entry.alias for entry in found} | set(current)):
        now = current.get(alias)
        last: str | None = None
        for entry in found:
            if entry.alias != alias or entry.state == INTERRUPTED:
                continue
            if entry.state == PLANNED and _may_still_come(entry, now, wanted):
                continue
            if entry.state == PLANNED:
                states[entry.run_id] = DONE if entry.version == now else INTERRUPTED
            if states.get(entry.run_id, entry.state) == DONE:
                last = entry.version
        if last != now:
            by_hand[alias] = (last, now)
    return states, by_hand


def _may_still_come(entry: Entry, now: str | None, wanted: Move | None) -> bool:
    """Whether a planned entry may still be carried out: its alias has not moved, no other change of it is wanted."""
    if not entry.previous == now != entry.version:
        return False
    return wanted is None or wanted.alias != entry.alias or is_begun(entry, wanted, now)


def is_begun(entry: Entry, wanted: Move, now: str | None) -> bool:
    """Whether a planned entry is the wanted change (same person, same reason) and has not been carried out."""
    cause = wanted.cause
    request = (wanted.alias, wanted.to.version, cause.how, cause.who, cause.why)
    same = (entry.alias, entry.version, entry.how, entry.who, entry.why) == request
    return same and entry.previous == now != entry.version
