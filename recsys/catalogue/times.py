"""Times as people write them. An ambiguous time is read the way its whole column is written."""

import math
import re
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import ClassVar

from dateutil import parser as dateutil_parser

ISO_EXAMPLE = "write ISO 8601 throughout, such as 2026-11-01T10:00:00Z"
SECONDS, MILLISECONDS = "seconds since 1970", "milliseconds since 1970"
DAY_FIRST, MONTH_FIRST = "day/month/year", "month/day/year"
EITHER = "day/month/year or month/day/year"
DOTTED = "day.month.year"
"""The reading of dates with dots where no day above 12 shows the order: no country writes the month first with dots
(Unicode CLDR). Oblique strokes and hyphens are written in either order, so such a date is refused."""
CLEAR_SHARE = 0.95
"""Share of the dates with a day above 12 that must agree on the order of day and month."""

# Numbers are distinguished by magnitude, for times from 1990 to 2100; these ranges do not overlap; none is near 0.
_EPOCH, _EXCEL_EPOCH = datetime(1970, 1, 1, tzinfo=UTC), datetime(1899, 12, 30, tzinfo=UTC)
_FIRST_S, _LAST_S = 631_152_000, 4_102_444_800
_RANGES: tuple[tuple[float, float, str], ...] = (
    (7_305, 32_873, "days since 1970"),
    (32_874, 73_051, "Excel days"),
    (19_900_101, 21_001_231, "YYYYMMDD"),
    (_FIRST_S, _LAST_S, SECONDS),
    (199_001_010_000, 210_012_312_359, "YYYYMMDDhhmm"),
    (_FIRST_S * 10**3, _LAST_S * 10**3, MILLISECONDS),
    (19_900_101_000_000, 21_001_231_235_959, "YYYYMMDDhhmmss"),
    (_FIRST_S * 10**6, _LAST_S * 10**6, "microseconds since 1970"),
    (_FIRST_S * 10**9, _LAST_S * 10**9, "nanoseconds since 1970"),
)
_STARTS = [low for low, _, _ in _RANGES]
_Number = int | float | Decimal
_CONVERSIONS: dict[str, Callable[[_Number], datetime]] = {
    "days since 1970": lambda n: _EPOCH + timedelta(milliseconds=round(n * 86_400_000)),
    # A spreadsheet keeps times as a fraction of a day, good to a millisecond.
    "Excel days": lambda n: _EXCEL_EPOCH + timedelta(milliseconds=round(n * 86_400_000)),
    "YYYYMMDD": lambda n: _of_digits(n, 8),
    SECONDS: lambda n: datetime.fromtimestamp(float(n), UTC),
    "YYYYMMDDhhmm": lambda n: _of_digits(n, 12),
    MILLISECONDS: lambda n: _EPOCH + timedelta(microseconds=int(n * 1000)),
    "YYYYMMDDhhmmss": lambda n: _of_digits(n, 14),
    "microseconds since 1970": lambda n: _EPOCH + timedelta(microseconds=int(n)),
    "nanoseconds since 1970": lambda n: _EPOCH + timedelta(microseconds=int(n) // 1000),
}

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)
_DAY_MONTH = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ ,T]+(\S.*))?", re.ASCII)
_YEAR_FIRST = re.compile(r"(\d{4})([./-])(\d{1,2})\2(\d{1,2})(?:[ ,T]+(\S.*))?", re.ASCII)
_UTC_NAME = re.compile(r"(?<=[\d\sMm+-])\s*(?:UTC|GMT|Z)(?:\[(?:UTC|GMT|Z)\])?$", re.ASCII)
_DOT_NET = re.compile(
    r"/Date\((\d+)(?:[+-]\d{4})?\)/", re.ASCII
)  # .NET: milliseconds; the offset is for display
_ZONE_BEFORE_YEAR = re.compile(r"(?<=:\d\d) (UTC|GMT) (\d{4})$", re.ASCII)
_ZONE_IN_BRACKETS = re.compile(r"(?<=[\dZ])\[[\w/+-]+\]$", re.ASCII)  # Java: the offset before it says it all
# dateutil gets only dates with a month's name and hours with AM or PM, because it guesses a lot.
_ENGLISH = re.compile(
    r"(?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec|january|february|march|april|june|july|august"
    r"|september|october|november|december|mon|tue|tues|wed|thu|thurs|fri|sat|sun|monday|tuesday|wednesday"
    r"|thursday|friday|saturday|sunday|am|pm|at|of|t|st|nd|rd|th)(?![a-z])\.?|[\d\s,./:+-])+",
    re.IGNORECASE | re.ASCII,
)
_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)", re.ASCII)


class NotFinite(ValueError):
    """A time given as a number that is infinite."""


@dataclass
class TimeForm:
    """How the times of one column are written. First every value is observed, then each is read."""

    observes: ClassVar = (str, int, float, Decimal)
    name: str
    numbers: Counter[str] = field(default_factory=Counter)
    """Form of number -> values of that form; "" counts numbers that are no time in any form."""
    orders: Counter[str] = field(default_factory=Counter)
    """DAY_FIRST, MONTH_FIRST, EITHER and DOTTED (either, with dots) -> dates that can be read so."""

    def observe(self, value: object) -> bool:
        """Take a value as evidence of how the column is written; unambiguous values are ignored.

        Args:
            value: as landed, not missing.

        Returns:
            False, since a further value may say otherwise.
        """
        if isinstance(value, str):
            if value[4:5] == "-":
                return False
            value = value.strip()
            numeric = _as_number(value)
            if numeric is None:
                self._observe_order(value)
                return False
            value = numeric
        if isinstance(value, _Number) and not isinstance(value, bool) and math.isfinite(value):
            self.numbers[_form_of(value)] += 1
        return False

    def _observe_order(self, value: str) -> None:
        match = _DAY_MONTH.fullmatch(value)
        if match:
            first, second = int(match[1]), int(match[3])
            either = DOTTED if match[2] == "." else EITHER
            if first != second:
                self.orders[DAY_FIRST if first > 12 else MONTH_FIRST if second > 12 else either] += 1

    @cached_property
    def of_numbers(self) -> str | None:
        """The form that most numbers have, or None where none has the majority."""
        known = [(n, form) for form, n in self.numbers.items() if form]
        n, form = max(known, default=(0, ""))
        return form if 2 * n > sum(n for n, _ in known) else None

    @cached_property
    def order(self) -> str | None:
        """DAY_FIRST or MONTH_FIRST where a day above 12 decides it, else None."""
        n_day, n_month = self.orders[DAY_FIRST], self.orders[MONTH_FIRST]
        if max(n_day, n_month) == 0 or max(n_day, n_month) < CLEAR_SHARE * (n_day + n_month):
            return None
        return DAY_FIRST if n_day > n_month else MONTH_FIRST

    def notes(self) -> list[str]:
        """What a person should know: how the column was read where it was neither ISO 8601 nor seconds."""
        found = []
        if self.of_numbers not in {None, SECONDS}:
            found.append(f"{self.name} read as {self.of_numbers}")
        if self.order:
            found.append(f"{self.name} read as {self.order}")
        elif self.orders[DOTTED] and self._is_without_order:
            found.append(f"{self.name} read as {DOTTED}")
        return found

    @property
    def _is_without_order(self) -> bool:
        """Whether no date of the column has a day above 12."""
        return not self.orders[DAY_FIRST] and not self.orders[MONTH_FIRST]

    def read(self, value: object) -> datetime:
        """One time of the column, in UTC; what has no offset is UTC.

        Args:
            value: as landed, not missing.

        Returns:
            An aware time in UTC.

        Raises:
            ValueError: it is no time or ambiguous; says why, without the value.
            NotFinite: it is infinite.
        """
        try:
            if isinstance(value, str):
                return self._of_text(value.strip())
            if isinstance(value, datetime):
                return _in_utc(value)
            if isinstance(value, date):
                return datetime(value.year, value.month, value.day, tzinfo=UTC)
            if isinstance(value, _Number) and not isinstance(value, bool):
                return self._of_number(value)
        except (OverflowError, OSError) as error:
            raise ValueError("is no time in the years 1 to 9999") from error
        raise ValueError("is no time")

    def _of_text(self, text: str) -> datetime:
        number = _as_number(text)
        if number is not None:
            return self._of_number(number)
        if dot_net := _DOT_NET.fullmatch(text):
            if _form_of(milliseconds := int(dot_net[1])) != MILLISECONDS:
                raise ValueError("is no time from 1990 to 2100")
            return _CONVERSIONS[MILLISECONDS](milliseconds)
        try:
            return _in_utc(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
        text, says_utc = _without_utc(text)
        found = self._of_words(text)
        if says_utc and found.utcoffset():
            raise ValueError("names UTC and another offset")
        return _in_utc(found)

    def _of_words(self, text: str) -> datetime:
        year_first = _YEAR_FIRST.fullmatch(text)
        if year_first:
            year, _, month, day, rest = year_first.groups()
            return _on_day(int(year), int(month), int(day), rest)
        either = _DAY_MONTH.fullmatch(text)
        if either:
            first, separator, second, year, rest = either.groups()
            day, month = self._day_and_month(int(first), int(second), separator)
            return _on_day(int(year), month, day, rest)
        return _in_english(text)

    def _day_and_month(self, first: int, second: int, separator: str) -> tuple[int, int]:
        order = DAY_FIRST if separator == "." and self._is_without_order else self.order
        if first == second:
            return first, second
        if order is None and self.orders[DAY_FIRST] and self.orders[MONTH_FIRST]:
            raise ValueError(f"is {EITHER}: the column has both")
        if order is None:
            raise ValueError(f"may be {EITHER}: no value of the column shows which")
        day, month = (first, second) if order == DAY_FIRST else (second, first)
        if month > 12:
            raise ValueError(f"is not {order}, as the column is")
        return day, month

    def _of_number(self, value: _Number) -> datetime:
        if not math.isfinite(value):
            raise NotFinite("is not finite")
        form = _form_of(value)
        if not form:
            raise ValueError(
                "is a number that is no time from 1990 to 2100, in seconds, milliseconds or as YYYYMMDD"
            )
        if self.of_numbers is None:
            listed = " and ".join(sorted(known for known in self.numbers if known))
            raise ValueError(f"is a number in a column that mixes {listed}")
        if form != self.of_numbers:
            raise ValueError(f"reads as {form}, but the column is in {self.of_numbers}")
        return _CONVERSIONS[form](value)


def _as_number(text: str) -> _Number | None:
    """The number in a text, including nan and infinities; None if it is not a number."""
    if _NUMBER.fullmatch(text):
        return int(text) if len(text) < 40 and text.lstrip("+-").isdigit() else float(text)
    return float(text) if text.lower().lstrip("+-") in {"nan", "inf", "infinity"} else None


def _form_of(value: _Number) -> str:
    """The one form in which a number is a time from 1990 to 2100; "" where there is none."""
    place = bisect_right(_STARTS, value) - 1
    if place < 0 or value > _RANGES[place][1]:
        return ""
    form = _RANGES[place][2]
    if form.startswith("YYYY"):
        try:
            _CONVERSIONS[form](value)
        except ValueError:
            return ""
    return form


def _of_digits(value: _Number, n_digits: int) -> datetime:
    if value != int(value):
        raise ValueError("is YYYYMMDD with a fraction")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}[n_digits]
    return datetime.strptime(str(int(value)), form).replace(tzinfo=UTC)


def _without_utc(text: str) -> tuple[str, bool]:
    """A text without the name of UTC at its end, or before the year as Java writes it, and whether it had one."""
    text = _ZONE_BEFORE_YEAR.sub(r" \2 \1", _ZONE_IN_BRACKETS.sub("", text))
    shorter = _UTC_NAME.sub("", text)
    return shorter.strip(), shorter != text


def _on_day(year: int, month: int, day: int, rest: str | None) -> datetime:
    start = f"{year:04}-{month:02}-{day:02}"
    try:
        return datetime.fromisoformat(f"{start} {rest}" if rest else start)
    except ValueError as error:
        if rest:
            return _in_english(f"{start} {rest}")
        raise ValueError("is not a day of the calendar") from error


def _in_english(text: str) -> datetime:
    """A date with an English month, or a time of day with AM or PM; it must name year, month and day."""
    if not (_ENGLISH.fullmatch(text) and _YEAR.search(text) and len(text) <= 60):
        raise ValueError("is not clearly a time")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found: datetime = dateutil_parser.parse(text, default=datetime(2000, 1, 1))
            again: datetime = dateutil_parser.parse(text, default=datetime(2001, 2, 2))
        except (dateutil_parser.ParserError, dateutil_parser.UnknownTimezoneWarning) as error:
            raise ValueError("is not clearly a time") from error
    if found != again:
        raise ValueError("lacks a day, a month or a year")
    return found


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
