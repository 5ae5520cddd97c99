"""Single values of a landed row, read strictly: a value of the wrong type is a bad row, never a guess."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

TRUE = {"true", "1", "yes"}
FALSE = {"false", "0", "no", ""}
SECONDS = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class BadRow(Exception):  # noqa: N818  a row's verdict, caught where rows are read; never leaves the room
    """Why a row goes to quarantine.

    Args:
        reason: one of the reasons that `expectations` knows.
        detail: for people; never holds a value of an interaction.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def is_missing(value: object) -> bool:
    """None, or the empty text that CSV writes for it."""
    return value is None or value == ""


def identifier(values: Mapping[str, Any], name: str) -> str:
    """An id: text, or a whole number written in digits; "" where it is missing.

    Args:
        values: column -> value as landed.
        name: the column.

    Returns:
        The id; empty where it is missing.

    Raises:
        BadRow: wrong_type or bad_id.
    """
    value = values.get(name)
    if is_missing(value):
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    found = text(values, name)
    if CONTROL.search(found):
        raise BadRow("bad_id", f"{name} holds a control character")
    return found if found.strip() else ""


def text(values: Mapping[str, Any], name: str) -> str:
    """A text; "" where it is missing.

    Args:
        values: column -> value as landed.
        name: the column.

    Returns:
        The text; empty where it is missing.

    Raises:
        BadRow: wrong_type, nul_byte or not_utf8.
    """
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRow("wrong_type", f"{name} should be text, not {_kind(value)}")
    return sound(value, name)


def sound(value: str, name: str) -> str:
    """The text itself, once it is known to be storable.

    Args:
        value: a text.
        name: its column, for the message.

    Returns:
        The same text.

    Raises:
        BadRow: nul_byte or not_utf8.
    """
    if "\0" in value:
        raise BadRow("nul_byte", f"{name} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRow("not_utf8", f"{name} holds half a surrogate pair at character {error.start}") from error
    return value


def labels(values: Mapping[str, Any], name: str) -> list[str]:
    """Tags: a list of texts, or one text split at "|"; stripped, without repeats, in order.

    Args:
        values: column -> value as landed.
        name: the column.

    Returns:
        Tags, none of them empty.

    Raises:
        BadRow: wrong_type, nul_byte or not_utf8.
    """
    value = values.get(name)
    if value is None:
        return []
    given = value.split("|") if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
        raise BadRow("wrong_type", f"{name} should be a list of texts or one text with '|' between them")
    stripped = (sound(entry, name).strip() for entry in given)
    return list(dict.fromkeys(entry for entry in stripped if entry))


def flag(values: Mapping[str, Any], name: str) -> bool:
    """A bool, 0 or 1, or one of true, false, yes, no; False where it is missing.

    Args:
        values: column -> value as landed.
        name: the column.

    Returns:
        The truth of it.

    Raises:
        BadRow: wrong_type.
    """
    value = values.get(name)
    if value is None:
        return False
    word = str(value).strip().lower() if isinstance(value, str | bool | int) else "?"
    if word not in TRUE | FALSE:
        raise BadRow("wrong_type", f"{name} should be true or false")
    return word in TRUE


def number(values: Mapping[str, Any], name: str) -> float | None:
    """A finite number, or None where it is missing.

    Args:
        values: column -> value as landed.
        name: the column.

    Returns:
        The number, or None.

    Raises:
        BadRow: wrong_type or not_finite.
    """
    value = values.get(name)
    if is_missing(value):
        return None
    if isinstance(value, bool):
        raise BadRow("wrong_type", f"{name} should be a number, not a bool")
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise BadRow("wrong_type", f"{name} should be a number") from error
    if not math.isfinite(found):
        raise BadRow("not_finite", f"{name} is {found}, not a finite number")
    return found


def moment(values: Mapping[str, Any], name: str) -> datetime | None:
    """A time in UTC: ISO 8601 (without an offset it is UTC) or seconds since 1970; None where it is missing.

    Args:
        values: column -> value as landed.
        name: the column.

    Returns:
        An aware time in UTC, or None.

    Raises:
        BadRow: bad_timestamp or not_finite.
    """
    value = values.get(name)
    if is_missing(value):
        return None
    try:
        return _moment(value)
    except _NotFinite as error:
        raise BadRow("not_finite", f"{name} is not a finite number of seconds") from error
    except (TypeError, ValueError, OverflowError, OSError) as error:
        hint = "should be ISO 8601 or seconds since 1970 (not milliseconds), in the years 1 to 9999"
        raise BadRow("bad_timestamp", f"{name} {hint}") from error


class _NotFinite(ValueError):
    pass


def _moment(value: object) -> datetime:
    if isinstance(value, bool):
        raise TypeError("a bool is no time")
    if isinstance(value, str):
        if SECONDS.fullmatch(value.strip()) or value.strip().lower().lstrip("+-") in {
            "nan",
            "inf",
            "infinity",
        }:
            return _of_seconds(float(value))
        return _in_utc(datetime.fromisoformat(value.strip()))
    if isinstance(value, datetime):
        return _in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return _of_seconds(float(value))  # type: ignore[arg-type]


def _of_seconds(seconds: float) -> datetime:
    if not math.isfinite(seconds):
        raise _NotFinite(seconds)
    return datetime.fromtimestamp(seconds, UTC)


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _kind(value: object) -> str:
    return {bool: "a bool", int: "a number", float: "a number", list: "a list", dict: "an object"}.get(
        type(value), type(value).__name__
    )
