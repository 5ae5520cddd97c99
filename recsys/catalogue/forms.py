"""How ids and numbers of one column are written. First every value is observed, then each is read."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import ClassVar

from recsys.catalogue.fields import BadRow, identifier

_WHOLE_FLOAT = re.compile(r"(0|-?[1-9]\d*)\.0+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = {"inf", "infinity"}
_COMMA = re.compile(r"[+-]?\d+,(\d+)", re.ASCII)
THOUSANDS_DIGITS = 3


@dataclass
class IdForm:
    """How the ids of one column are written."""

    observes: ClassVar = (str, float)
    name: str
    n_floats: int = 0
    """Values such as 1.0, text or number."""
    is_whole: bool = True
    """Whether every text is such a float; otherwise `.0` is part of the names."""
    n_trimmed: int = 0

    def observe(self, value: object) -> bool:
        """Take a value as evidence; True where no further one would change anything."""
        if isinstance(value, str):
            self.is_whole = self.is_whole and bool(_WHOLE_FLOAT.fullmatch(value.strip()))
            self.n_floats += self.is_whole
        elif isinstance(value, float):
            self.n_floats += value.is_integer()
        return not self.is_whole

    def read(self, value: object) -> str:
        """One id of the column.

        Args:
            value: as landed, not missing.

        Returns:
            The id; empty if it has no visible character.

        Raises:
            BadRow: wrong_type, bad_id, nul_byte or not_utf8.
        """
        found = identifier(value, self.name)
        if isinstance(value, str):
            self.n_trimmed += found != value
            if self.is_whole and self.n_floats:
                return found.partition(".")[0]
        return found

    def notes(self) -> list[str]:
        """What a person should know."""
        found = []
        if self.n_floats and self.is_whole:
            found.append(f"{self.name}: whole-number floats read as integers (1.0 as 1)")
        if self.n_trimmed:
            found.append(
                f"{self.name}: {self.n_trimmed:,} ids were trimmed of blanks or of characters that nobody sees"
            )
        return found


@dataclass
class NumberForm:
    """How the numbers of one column are written."""

    observes: ClassVar = (str,)
    name: str
    n_commas: int = 0
    """Texts such as 4,5."""
    n_thousands: int = 0
    """Such texts with three digits behind the comma: 1,250 may be thousands."""
    n_dots: int = 0

    def observe(self, value: object) -> bool:
        """Take a value as evidence; False, since a further one may say otherwise."""
        if isinstance(value, str):
            match = _COMMA.fullmatch(value.strip())
            if match:
                self.n_commas += 1
                self.n_thousands += len(match[1]) == THOUSANDS_DIGITS
            self.n_dots += "." in value
        return False

    @cached_property
    def has_decimal_comma(self) -> bool:
        """Whether a comma is the decimal point here: the column has evidence for it and none against it."""
        return self.n_commas > self.n_thousands and not self.n_dots

    def read(self, value: object) -> float:
        """One number of the column.

        Args:
            value: as landed, not missing.

        Returns:
            A finite number.

        Raises:
            BadRow: wrong_type or not_finite.
        """
        if isinstance(value, str):
            found = self._of_text(value.strip())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            found = _as_float(value)
        else:
            raise BadRow("wrong_type", f"{self.name} should be a number")
        if not math.isfinite(found):
            raise BadRow("not_finite", f"{self.name} should be a finite number")
        return found

    def _of_text(self, text: str) -> float:
        if _COMMA.fullmatch(text) and self.has_decimal_comma:
            text = text.replace(",", ".")
        if _NUMBER.fullmatch(text) or text.lower().lstrip("+-") in _INFINITE:
            return float(text)
        if "," in text and any(map(str.isdigit, text)):
            problem = "has a comma that may separate thousands; write 1250.5, with a point and nothing between digits"
            raise BadRow("wrong_type", f"{self.name} {problem}")
        raise BadRow("wrong_type", f"{self.name} should be a number")

    def notes(self) -> list[str]:
        """What a person should know."""
        return [f"{self.name} read with a decimal comma"] if self.has_decimal_comma else []


def _as_float(value: int | float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
