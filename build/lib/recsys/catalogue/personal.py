"""Which columns of a catalogue are about people. They are left out before anything else sees them, rows stay."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

ORDINARY = frozenset({"name", "fullname"})
"""Listed names that products bear too: they count as a person's only beside another personal column."""
_ROLES = (
    "user",
    "customer",
    "client",
    "buyer",
    "shopper",
    "member",
    "subscriber",
    "contact",
    "billing",
    "shipping",
)
"""Words that make any listed name a person's, also where nothing parts the two, as in `customeremail`."""
_CASE_CHANGE = re.compile(r"(?<=[^\W_A-Z])(?=[A-Z])")
_BETWEEN_WORDS = re.compile(r"[\W_]+")


class PersonalColumns:
    """Finds personal columns by name, whatever their case and separators, and takes them out of rows.

    Args:
        listed: names such as `email` or `phone_number` (`ingest.personal_columns`).
        kept: columns of the catalogue itself, which are never personal.
    """

    def __init__(self, listed: Iterable[str], kept: Iterable[str]) -> None:
        self._listed = frozenset("".join(_words(name)) for name in listed) - {""}
        self._kept = frozenset(kept)
        self._found: set[str] = set()
        self._of = lru_cache(maxsize=4096)(self._among)

    @property
    def found(self) -> tuple[str, ...]:
        """Every personal column met so far, by name; of nested ones the path, such as `customer.email`."""
        return tuple(sorted(self._found))

    def without(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row without what is personal, at any depth.

        Args:
            row: column -> value as landed.

        Returns:
            A new dictionary; `found` remembers what is missing in it.
        """
        return self._without(row, "")

    def _without(self, row: Mapping[str, Any], path: str) -> dict[str, Any]:
        personal = self._of(tuple(row))
        self._found.update(path + name for name in personal)
        return {
            name: self._inside(value, f"{path}{name}.") for name, value in row.items() if name not in personal
        }

    def _inside(self, value: Any, path: str) -> Any:  # noqa: ANN401  any value of a row
        if isinstance(value, dict):
            return self._without(value, path)
        if isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
            return [self._inside(one, path) for one in value]
        return value

    def _among(self, names: tuple[object, ...]) -> frozenset[str]:
        asked = [name for name in names if isinstance(name, str) and name not in self._kept]
        sure = {name for name in asked if self._matches(name) and "".join(_words(name)) not in ORDINARY}
        beside = {name for name in asked if "".join(_words(name)) in ORDINARY & self._listed}
        return frozenset(sure | beside) if sure else frozenset()

    def _matches(self, name: str) -> bool:
        """Whether a name ends in a listed one: `customerEmail`, `E-Mail`, `billing phone number`, `useremail`."""
        words = _words(name)
        ends = {"".join(words[start:]) for start in range(len(words))}
        plain = {end.removesuffix("s") for end in ends} | ends
        if plain & (self._listed - ORDINARY) or "".join(words) in self._listed:
            return True
        whole = "".join(words)
        return any(whole.removeprefix(role) in self._listed for role in _ROLES if whole.startswith(role))


def _words(name: str) -> list[str]:
    """The words of a name in lower case, without numbers at its end: `customerEmail_2` -> customer, email."""
    parted = _CASE_CHANGE.sub(" ", unicodedata.normalize("NFKC", name))
    words = [word for word in _BETWEEN_WORDS.split(parted.casefold()) if word]
    while words and words[-1].isdigit():
        words.pop()
    return words[:-1] + [words[-1].rstrip("0123456789")] if words else []
