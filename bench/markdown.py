"""Markdown of the pages that benchmarks write: tables, lists and settings on one line."""

import re
from collections.abc import Iterable
from textwrap import wrap
from typing import Any

WIDTH = 120
"""Characters of a line."""


def table(lines: Iterable[list[str]]) -> str:
    """A table; the first line is its head."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * (rows[0].count(" | ") + 1), *rows[1:]]) + "\n"


def bullet(text: str) -> list[str]:
    """One entry of a list, in lines that a page may have."""
    return wrap(f"- {text}", WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def worded(values: dict[str, Any]) -> str:
    """Settings on one line."""
    plain = []
    for name, value in values.items():
        if isinstance(value, dict):
            plain.append(f"{name}: ({worded(value)})")
        elif isinstance(value, float):
            plain.append(f"{name} {value:g}")
        else:
            plain.append(f"{name} {value}")
    return ", ".join(plain)


def without_zeros(text: str) -> str:
    """Numbers below 1 without the zero in front of the point, as tables of metrics have them: .3176, −.0153."""
    return re.sub(r"(?<!\d)0\.(?=\d)", ".", text)
