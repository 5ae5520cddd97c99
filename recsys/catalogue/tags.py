"""Tags in a text: JSON and Python lists, Postgres arrays, `|`; `,` and `;` where the whole column is written so."""

import ast
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from recsys.catalogue.fields import BadRow, is_missing, shown, sound

REMEDY = "land a list of texts, or one text with '|' between the tags"
MAX_LITERAL_CHARS = 100_000
"""A longer text in brackets is not parsed."""

MAX_LABEL_CHARS, MAX_LABEL_WORDS = 40, 4
"""Longer parts between two commas are prose."""

MIN_SHORT_SHARE = 0.95
"""Share of the texts with a separator whose parts are all short."""

MIN_COMMA_SHARE = 0.5
"""Share of the texts that hold a comma, where commas separate tags; a semicolon is no part of a label anyway."""

# An entity such as &amp; ends in a semicolon that separates nothing.
_PARTS = {",": re.compile(r"[^,]+"), ";": re.compile(r"(?:&#?\w{1,31};|[^;])+")}
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"", re.DOTALL)
_NUMPY = re.compile(r"['\"]\s+['\"]")
_POSTGRES = re.compile(r"\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^,{}\"]*))\s*(?:,|$)", re.DOTALL)


@dataclass
class TagForm:
    """How the tags of one column are written: first every value is observed, then each is read."""

    observes: ClassVar = (str,)
    name: str
    missing: frozenset[str]
    n_plain: int = 0
    """Texts in no kind of brackets and without `|`."""
    n_with: dict[str, int] = field(default_factory=lambda: {",": 0, ";": 0})
    n_short: dict[str, int] = field(default_factory=lambda: {",": 0, ";": 0})
    """Separator -> texts that hold it and whose parts are all short."""

    def observe(self, value: object) -> bool:
        """Take a value as evidence; False, since a further one may say otherwise."""
        if not isinstance(value, str) or "|" in value or value.strip()[:1] in {"[", "{", "("}:
            return False
        self.n_plain += 1
        for separator, parts in _PARTS.items():
            if separator in value:
                found = [part.strip() for part in parts.findall(value)]
                if len(found) > 1:
                    self.n_with[separator] += 1
                    self.n_short[separator] += all(map(_is_short, found))
        return False

    @cached_property
    def separators(self) -> tuple[str, ...]:
        """Those of `;` and `,` that separate tags in this column."""
        least = {";": 0.0, ",": MIN_COMMA_SHARE}
        return tuple(
            separator
            for separator, share in least.items()
            if self.n_with[separator] > 0
            and self.n_with[separator] >= share * self.n_plain
            and self.n_short[separator] >= MIN_SHORT_SHARE * self.n_with[separator]
        )

    def notes(self) -> list[str]:
        """What a person should know."""
        found = [f"{self.name} split at '{separator}'" for separator in self.separators]
        for separator, n in self.n_with.items():
            if n and separator not in self.separators:
                found.append(
                    f"{self.name}: {n:,} texts with '{separator}' kept whole, the column is not written so; {REMEDY}"
                )
        return found

    def read(self, value: object) -> list[str]:
        """Tags: stripped, without repeats, in order.

        Args:
            value: as landed.

        Returns:
            Tags, none of them empty or missing.

        Raises:
            BadRow: wrong_type, nul_byte or not_utf8.
        """
        given = self._split(value) if isinstance(value, str) else value
        if isinstance(given, dict) or not isinstance(given, Iterable) or isinstance(given, bytes):
            raise BadRow("wrong_type", f"{self.name} is {shown(value)}, no list of texts; {REMEDY}")
        found: dict[str, None] = {}
        for entry in given:
            if isinstance(entry, dict):  # {"id": 28, "name": "Action"}, as many APIs list them
                entry = entry.get("name", entry)
            if isinstance(entry, int) and not isinstance(entry, bool):
                entry = str(entry)
            if isinstance(entry, str):
                label = sound(entry, self.name).strip()
                if label and label not in self.missing:
                    found[label] = None
            elif not is_missing(entry, self.missing):
                raise BadRow("wrong_type", f"{self.name} holds {shown(entry)}, which is no text; {REMEDY}")
        return list(found)

    def _split(self, text: str) -> object:
        text = text.strip()
        if text[:1] + text[-1:] in {"[]", "{}", "()"}:
            listed = _listed(text)
            if listed is not None:
                return listed
        if "|" in text:
            return text.split("|")
        parts = [text]
        for separator in self.separators:
            parts = [found for part in parts for found in _PARTS[separator].findall(part)]
        return parts


def _is_short(part: str) -> bool:
    return len(part) <= MAX_LABEL_CHARS and len(part.split()) <= MAX_LABEL_WORDS and not part.endswith(".")


def _listed(text: str) -> object:
    """What a text in brackets lists, a dict where it is an object, or None where it is no list."""
    inside = text[1:-1].strip()
    if not inside or len(text) > MAX_LITERAL_CHARS:
        return None if inside or text[0] == "(" else []  # {} is an empty array of Postgres
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if _NUMPY.search(inside) and text[0] == "[":
        return [_unescaped(single or double) for single, double in _QUOTED.findall(inside)]
    try:
        found = ast.literal_eval(f"[{inside}]")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _bare(text, inside)
    is_words = text[0] == "(" and not any(isinstance(entry, str) for entry in found)
    return None if is_words else found


def _bare(text: str, inside: str) -> object:
    """The entries of a Postgres array {a,"b c"}, or of a list without quotes [a, b]; else None."""
    if text[0] == "(" or (text[0] == "[" and "," not in inside):
        return None
    if text[0] == "{" and re.match(r"['\"][^'\"]*['\"]\s*:", inside):
        return {}
    found, place = [], 0
    while place < len(inside):
        match = _POSTGRES.match(inside, place)
        if match is None or match.end() == place:
            return None
        quoted, bare = match.groups()
        found.append(_unescaped(quoted) if quoted is not None else bare.strip())
        place = match.end()
    return found


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
