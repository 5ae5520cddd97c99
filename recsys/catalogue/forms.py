"""How ids and numbers of one column are written. First every value is observed, then each is read."""

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import ClassVar

from recsys.catalogue.fields import BadRow, identifier

# Not more zeros behind a comma: 1,000 may be a thousand.
_WHOLE_FLOAT = re.compile(r"(0|-?[1-9]\d*)(\.0+|,00?)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = {"inf", "infinity"}
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_BY_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d+)?", re.ASCII)
"""Thousands apart by points, such as 1.299,00; without a comma only the column shows that they are thousands. Nobody
writes 0 thousands: 0.125 is an eighth."""
_BY_COMMAS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII)
SHOWN_SHARE = 0.05
"""Numbers with thousands and a decimal sign that are evidence, for each number that they would have read otherwise: one
1.299,00 among many 12.345 is more likely an error."""


@dataclass
class IdForm:
    """How the ids of one column are written."""

    observes: ClassVar = (str, float)
    name: str
    n_floats: int = 0
    """Values such as 1.0, text or number, or 1,0."""
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
                return re.split("[.,]", found, maxsplit=1)[0]
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
    """Such texts that may be thousands: 1,250."""
    n_points: int = 0
    """Texts with a point that are not thousands apart by points."""
    n_point_thousands: int = 0
    """Texts such as 1.250: perhaps thousands."""
    n_both: Counter[str] = field(default_factory=Counter)
    """Decimal sign -> texts that separate thousands too: "," such as 1.299,00, "." such as 1,299.00."""
    currencies: set[str] = field(default_factory=set)

    def observe(self, value: object) -> bool:
        """Take a value as evidence; False, since a further one may say otherwise."""
        if isinstance(value, str):
            text, currency = _without_currency(value)
            self.currencies |= {currency} - {""}
            if by_points := _BY_POINTS.fullmatch(text):
                self.n_both[","] += by_points[2] is not None
                self.n_point_thousands += by_points[2] is None
            elif (by_commas := _BY_COMMAS.fullmatch(text)) and by_commas[2]:
                self.n_both["."] += 1
            elif _COMMA.fullmatch(text):
                self.n_commas += 1
                self.n_thousands += by_commas is not None
            else:
                self.n_points += "." in text
        return False

    @cached_property
    def has_decimal_comma(self) -> bool:
        """Whether a comma is the decimal sign here: the column has evidence for it and none against it."""
        for_it = self.n_both[","] > 0 or self.n_commas > self.n_thousands
        are_thousands = self.n_both[","] > SHOWN_SHARE * self.n_point_thousands
        points = self.n_points + (0 if are_thousands else self.n_point_thousands)
        return for_it and not points and not self.n_both["."]

    @cached_property
    def has_thousands_commas(self) -> bool:
        """Whether commas separate thousands here: some numbers have a point too, and none shows a decimal comma."""
        is_shown = self.n_both["."] > SHOWN_SHARE * self.n_commas
        return is_shown and not self.n_both[","] and self.n_commas == self.n_thousands

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
        text, currency = _without_currency(text)
        if currency and len(self.currencies) > 1:
            raise BadRow("wrong_type", f"{self.name} is in more than one currency: land one file for each")
        if self.has_decimal_comma and (_COMMA.fullmatch(text) or _BY_POINTS.fullmatch(text)):
            text = text.replace(".", "").replace(",", ".")
        elif self.has_thousands_commas and _BY_COMMAS.fullmatch(text):
            text = text.replace(",", "")
        elif "." in text and self._are_points_unclear(text, currency):
            raise self._unclear("point")
        if _NUMBER.fullmatch(text) or text.lower().lstrip("+-") in _INFINITE:
            return float(text)
        if "," in text and any(map(str.isdigit, text)):
            raise self._unclear("comma")
        raise BadRow("wrong_type", f"{self.name} should be a number")

    def _are_points_unclear(self, text: str, currency: str) -> bool:
        """Whether points may separate thousands: some do in this column, or it is a price such as 2.500 €."""
        is_price = bool(currency and _BY_POINTS.fullmatch(text)) and not self.n_points
        return is_price or self.n_both[","] > SHOWN_SHARE * self.n_points

    def _unclear(self, sign: str) -> BadRow:
        problem = (
            f"has a {sign} that may separate thousands; write 1250.5, with a point and nothing between digits"
        )
        return BadRow("wrong_type", f"{self.name} {problem}")

    def notes(self) -> list[str]:
        """What a person should know."""
        found = []
        if self.has_decimal_comma:
            found.append(f"{self.name} read with a decimal comma")
        if self.has_thousands_commas:
            found.append(f"{self.name} read with commas between thousands")
        if len(self.currencies) == 1:
            found.append(f"{self.name} read without its currency, {min(self.currencies)}")
        return found


def _without_currency(text: str) -> tuple[str, str]:
    """A number without a currency sign at one of its ends, and the sign; "" where it has none."""
    text = text.strip()
    for sign, rest in ((text[-1:], text[:-1]), (text[:1], text[1:])):
        if sign and unicodedata.category(sign) == "Sc":
            return rest.strip(), sign
    return text, ""


def _as_float(value: int | float | Decimal) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf
