"""The separator of a CSV file (comma, semicolon, tab or bar), found from its header and first rows."""

import csv
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from recsys.catalogue.folding import folded
from recsys.catalogue.readers.rows import KEYS

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_OTHERS = {
    "::": "'::'",
    "\x01": "control-A",
    "\x1f": "a control character",
    "~": "'~'",
    "^": "'^'",
    " ": "blanks",
}
"""Separators that are not read. A header shows them."""
_NEVER_MEANT = {"::", "\x01", "\x1f"}
"""Those that no column name holds: they show in a row that is no header, too."""

SEP_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line for Excel."""

WIDE_TITLES = 1
"""So many rows above a header may be as wide as it, such as a title with a date and an author. More may be data."""
_SAMPLE_ROWS = 50
_ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True)
class Layout:
    """How a CSV file begins."""

    separator: str
    """A comma if there is none."""
    header: tuple[str, ...]
    """Names as written; empty for an empty file."""
    n_above: int
    """Rows above the header, empty ones not counted: the title lines of a report."""


def layout(lines: Sequence[str], keys: Collection[str] = KEYS) -> Layout:
    """Find the header, under the separator that fits it and the rows best.

    Args:
        lines: whole lines from the beginning of the file, without `sep=`.
        keys: names, folded, of which a header has one.

    Returns:
        Where the header is. The first row is taken for it unless a later one names the item or the user column and
        is wider than the rows above, but for WIDE_TITLES of them. Empty columns in which a spreadsheet ends rows do not
        count.
    """
    tried = [(separator, *_from_header(_rows(lines, separator), keys)) for separator in SEPARATORS]
    separator, rows, n_above = max(tried, key=lambda one: _fit(one[1], keys))
    return Layout(separator, tuple(rows[0]) if rows else (), n_above)


def escapes_quotes(lines: Sequence[str], separator: str) -> bool:
    """Whether quotes inside quoted fields stand after a backslash, as Spark and MySQL write them.

    Args:
        lines: whole lines from the beginning of the file.
        separator: of its columns.

    Returns:
        True where the lines are no CSV by RFC 4180, and would be with the quotes written twice.
    """
    if not any('\\"' in line for line in lines):
        return False
    return not _parses(lines, separator) and _parses([unescaped(line) for line in lines], separator)


def _parses(lines: Sequence[str], separator: str) -> bool:
    """Whether the lines are CSV; the last record may be cut off."""
    try:
        for _ in csv.reader(lines, delimiter=separator, strict=True):
            pass
    except csv.Error as error:
        return "unexpected end" in str(error)
    return True


def other_separator(header: Sequence[str], keys: Collection[str] = KEYS) -> str:
    """What separates columns that are not separated as CSV is, for people.

    Args:
        header: names of the columns, as CSV has them.
        keys: names, folded, of which a header has one.

    Returns:
        Its name; empty where it has none.
    """
    if names_key(header, keys):
        return ""
    for separator, name in _OTHERS.items():
        if separator in _NEVER_MEANT and any(separator in one for one in header):
            return name
        if len(header) == 1 and separator in header[0] and names_key(header[0].split(separator), keys):
            return name
    return ""


def unescaped(line: str) -> str:
    """A line whose quotes are escaped by backslashes, as RFC 4180 writes it."""
    return _ESCAPED.sub(lambda found: '""' if found[1] == '"' else "\\", line)


def names_key(names: Iterable[str], keys: Collection[str] = KEYS) -> bool:
    """Whether the item or the user column is among some names; a row of a table that holds it is a header."""
    return any(folded(name) in keys for name in names)


def _from_header(rows: list[list[str]], keys: Collection[str]) -> tuple[list[list[str]], int]:
    """The rows from the header on, and how many are above it."""
    widths = [max(n for n, value in enumerate(row, 1) if value) for row in rows]
    for place, row in enumerate(rows):
        if names_key(row, keys) and sum(width >= widths[place] for width in widths[:place]) <= WIDE_TITLES:
            return rows[place:], place
    return rows, 0


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The first rows; a row that does not parse ends them."""
    found: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=separator):
            if any(row):
                found.append(row)
            if len(found) > _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return found


def _fit(rows: list[list[str]], keys: Collection[str]) -> tuple[bool, bool, float, int]:
    """Higher is better: required names apart, several columns, rows as wide as the header, many columns."""
    if not rows:
        return False, False, 0.0, 0
    header, body = rows[0], rows[1:]
    as_wide = sum(len(row) == len(header) for row in body) / len(body) if body else 1.0
    return names_key(header, keys), len(header) > 1, as_wide, len(header)
