"""Further columns of a catalogue row as JSON. A value that cannot be stored is left out and counted; the row stays."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from recsys.catalogue.fields import BadRow

MAX_NUMBERS = 32
"""A longer list of numbers is an embedding or a series, not text."""

_PLAIN = (date, datetime, time, timedelta, Decimal, UUID)


class Attributes:
    """Writes the further columns of one file's rows, and counts what it leaves out.

    Args:
        needed: columns that `features.fields` names; a row whose value there cannot be kept is bad.
        max_chars: characters of JSON that a row may take; the largest values beyond that are left out.
        is_missing: whether a value stands for nothing.
    """

    def __init__(self, needed: Collection[str], max_chars: int, is_missing: Callable[[object], bool]) -> None:
        self._needed, self._max_chars, self._is_missing = frozenset(needed), max_chars, is_missing
        self._left_out: dict[str, Counter[str]] = {}

    def written(self, further: Mapping[str, Any]) -> str:
        """JSON text of an object with sorted keys; missing values are left out.

        Args:
            further: column -> value as landed.

        Returns:
            The JSON text.

        Raises:
            BadRow: not_finite, nul_byte, not_utf8, wrong_type or text_too_long, of a column that is needed.
        """
        there = {name: value for name, value in further.items() if not self._is_missing(value)}
        if not there:
            return "{}"
        if any(_is_embedding(value) or self._is_long(value) for value in there.values()):
            return self._of_each(there)
        try:
            found = _json(there)
        except _Unkeepable:
            found = ""
        return found if found and len(found) <= self._max_chars else self._of_each(there)

    def _is_long(self, value: object) -> bool:
        """Whether it is clearly too long, tested without serialising it."""
        return isinstance(value, str | list | dict) and len(value) > self._max_chars

    def _of_each(self, there: Mapping[str, Any]) -> str:
        sizes = {}
        for name, value in there.items():
            try:
                if _is_embedding(value):
                    raise _Unkeepable("wrong_type", f"a list of more than {MAX_NUMBERS} numbers")
                if self._is_long(value):
                    raise _Unkeepable("text_too_long", "too long to keep")
                sizes[name] = len(_json({name: value}))
            except _Unkeepable as why:
                self._leave_out(name, why.reason, why.problem)
        # The smallest values first, so that one long one costs no other.
        room, kept = self._max_chars - 1, {}
        for name in sorted(sizes, key=lambda name: (name not in self._needed, sizes[name], name)):
            if sizes[name] <= room:
                kept[name] = there[name]
                room -= sizes[name]
            else:
                self._leave_out(name, "text_too_long", "too long to keep")
        return _json(kept) if kept else "{}"

    def _leave_out(self, name: str, reason: str, problem: str) -> None:
        if name in self._needed:
            raise BadRow(reason, f"{name} is {problem}, and features.fields in params.yaml names it")
        self._left_out.setdefault(name, Counter())[problem] += 1

    def ignored(self) -> dict[str, str]:
        """Column -> what was left out of it, for people."""
        return {
            name: "; ".join(f"{n:,} values left out: {problem}" for problem, n in sorted(counts.items()))
            for name, counts in sorted(self._left_out.items())
        }


class _Unkeepable(Exception):  # noqa: N818  a value's verdict, caught where rows are written
    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(reason, problem)
        self.reason, self.problem = reason, problem


def _json(values: Mapping[str, Any]) -> str:
    try:
        found = json.dumps(
            values,
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
            default=_as_text,
            separators=(",", ":"),
        )
        found.encode()
    except UnicodeEncodeError as error:
        raise _Unkeepable("not_utf8", "text with half a surrogate pair") from error
    except ValueError as error:
        raise _Unkeepable("not_finite", "not finite, or holds what is not") from error
    except RecursionError as error:
        raise _Unkeepable("wrong_type", "nested too deep") from error
    except TypeError as error:
        raise _Unkeepable("wrong_type", str(error)) from error
    if "\\u0000" in found:
        raise _Unkeepable("nul_byte", "text with a NUL character")
    return found


def _as_text(value: object) -> str:
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError("not finite")
    if isinstance(value, _PLAIN):
        return str(value)
    raise TypeError(f"of type {type(value).__name__}")


def _is_embedding(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > MAX_NUMBERS
        and all(isinstance(entry, int | float) for entry in value[:MAX_NUMBERS])
    )
