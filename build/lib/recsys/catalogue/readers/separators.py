"""What separates the columns of a CSV file: comma, semicolon, tab or bar, seen from its header and first rows."""

import csv
import re
from collections.abc import Sequence

from recsys.catalogue.folding import folded

SEPARATORS = (",", ";", "\t", "|")
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
KEYS = frozenset({"itemid", "userid"})
"""Columns, folded, of which a header names one: where it stands apart, the separator is found."""

SEP_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line for Excel."""

_SAMPLE_ROWS = 50


def header_and_separator(lines: Sequence[str]) -> tuple[list[str], str]:
    """The header under the separator that fits it and the rows best.

    Args:
        lines: whole lines from the beginning of the file, without `sep=`.

    Returns:
        Names as they stand, and the separator; a comma where nothing separates.
    """
    tried = [(separator, _rows(lines, separator)) for separator in SEPARATORS]
    separator, rows = max(tried, key=lambda one: _fit(one[1]))
    return (rows[0] if rows else []), separator


def names_key(header: Sequence[str]) -> bool:
    """Whether a header names the item or the user, hence is one."""
    return bool(KEYS & {folded(name) for name in header})


def _rows(lines: Sequence[str], separator: str) -> list[list[str]]:
    """The first rows; a row that does not parse ends them."""
    found: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=separator):
            if any(value.strip() for value in row):
                found.append(row)
            if len(found) > _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return found


def _fit(rows: list[list[str]]) -> tuple[bool, bool, float, int]:
    """Higher is better: required names apart, several columns, rows as wide as the header, many columns."""
    if not rows:
        return False, False, 0.0, 0
    header, body = rows[0], rows[1:]
    as_wide = sum(len(row) == len(header) for row in body) / len(body) if body else 1.0
    return names_key(header), len(header) > 1, as_wide, len(header)
