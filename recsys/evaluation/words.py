"""Find the text columns of a table: columns of words, not of ids, paths, dates or numbers, without repetitions."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from recsys.features.text import TEXT_FIELDS

MAX_LOOKED_AT = 1000
"""Values of a column that are examined, evenly spaced."""
LONGEST_LOOKED_AT = 200
"""Characters of a value that are examined."""
REPEATED_SHARE = 0.5
"""A column repeats another if of the words of both, on the mean over rows, more than this share is in both: then they
have more in common than apart. An encoder would read the same twice before its cut, and exact words would count twice.
A short column whose words also appear in a longer one is not a repetition: by itself, a brand weighs more."""
WORDS, NUMBERS, DATES, IDS, PATHS, FLAGS, SIGNS = (
    "words",
    "numbers",
    "dates",
    "ids",
    "paths or addresses",
    "flags",
    "no words",
)

# Last words of names that tell what the values are. Where such a column is text, a person can name it.
_ID_NAMES = {"id", "ids", "uuid", "guid", "sku", "asin", "isbn", "ean", "upc", "gtin", "mpn", "hash", "slug"}
_PATH_NAMES = {"url", "urls", "uri", "href", "path", "paths", "filename", "image", "images", "email", "phone"}
_NAME_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+s?(?![a-z])|[^\W\d_]+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_WORD = re.compile(r"\w+")
# A number, with a currency before it or a unit after it.
_NUMBER = re.compile(
    r"([$€£¥]|[A-Z]{3}\s)?\s*[<>~±≈+-]*\s*\d[\d.,'’\s]*([eE][+-]?\d+)?\s*(%|[$€£¥]|[A-Za-z]{0,9}|[^\W\d_]{0,2})[²³]?\.?"
)
_PATH = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://.*|www\..*|[A-Za-z]:\\.*|[!-~]*[/\\][!-~]*|[!-~]+@[!-~]+\.[A-Za-z]+"
    r"|.*\.(jpe?g|png|gif|webp|svg|bmp|tiff?|mp[34]|pdf|html?|json|xml|csv|txt|zip)",
    re.IGNORECASE | re.DOTALL,
)
# One word of letters with a digit, such as tt0114709, or the result of a hash function.
_ID = re.compile(r"[!-~]*\d[!-~]*|[0-9a-fA-F]{16,}")
_CHINESE_DATE = re.compile(r"\d{2,4}\s*年(\s*\d{1,2}\s*月)?(\s*\d{1,2}\s*日)?")
_LONGEST_DATE = 40
_FLAGS = {"true", "false", "yes", "no", "t", "f", "y", "n", "on", "off"}


@dataclass(frozen=True)
class TextColumns:
    """Columns that become text, and why the others do not."""

    taken: tuple[str, ...]
    """Columns that give the text, in the order in which their values are joined."""
    left_out: dict[str, str]
    """Column -> what it holds instead of words, or which column it repeats."""


def text_columns(table: pa.Table) -> TextColumns:
    """Choose the columns of words: `title` first, then those with shorter values before longer ones.

    Encoders cut long texts, so short fields such as brand or genre should come before long ones. A column that repeats
    another is left out, see `REPEATED_SHARE`; of two the one stays that may land in a catalogue by its name, else the
    one whose values are shorter.

    Args:
        table: any columns, including item_id.

    Returns:
        The chosen columns and the others.
    """
    lengths: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for name in table.column_names:
        if name == "item_id":
            continue
        held, lengths[name] = _holds(name, table[name])
        if held != WORDS:
            left_out[name] = held
            del lengths[name]
    ordered = sorted(lengths, key=lambda name: (name != "title", lengths[name], name))
    repeats = _repeats(table, sorted(ordered, key=lambda name: name not in TEXT_FIELDS))
    taken = tuple(name for name in ordered if name not in repeats)
    return TextColumns(taken, left_out | {name: f"repeats {other}" for name, other in repeats.items()})


def _repeats(table: pa.Table, names: Sequence[str]) -> dict[str, str]:
    """Column -> the one that it repeats; of two that repeat each other the later one is left out."""
    places = np.linspace(0, table.num_rows - 1, min(table.num_rows, MAX_LOOKED_AT)).astype(int)
    words = {}
    for name in names:
        texts = joined(table[name])
        words[name] = [set(_WORD.findall(texts[place].casefold())) for place in places]
    kept = list(names)
    for name in reversed(names):
        if any(_shared(words[name], words[other]) > REPEATED_SHARE for other in kept if other != name):
            kept.remove(name)
    return {
        name: max(kept, key=lambda other: _shared(words[name], words[other]))
        for name in names
        if name not in kept
    }


def _shared(words: Sequence[set[str]], others: Sequence[set[str]]) -> float:
    """Mean share of the words of both that is in both, over the rows where the first has any."""
    shares = [len(one & other) / len(one | other) for one, other in zip(words, others, strict=True) if one]
    return float(np.mean(shares)) if shares else 0.0


def joined(column: pa.ChunkedArray) -> list[str]:
    """Convert a column to one text per row: lists are joined with commas, missing values are "".

    Args:
        column: text, numbers, or lists of them.

    Returns:
        One text per row.
    """
    return [as_text(value) for value in column.to_pylist()]


def as_text(value: object) -> str:
    """Convert a value to text: lists are joined with commas, a missing value is ""."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(as_text, value)))
    return "" if value is None else str(value)


def _holds(name: str, column: pa.ChunkedArray) -> tuple[str, float]:
    """Kind of a column, and the mean length of its texts."""
    kind = _innermost(column.type)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return _of_type(kind), 0.0
    present = [value for value in column.to_pylist() if as_text(value).strip()]
    if not present:
        return "no value", 0.0
    length = sum(len(as_text(value)) for value in present) / len(present)
    if name in TEXT_FIELDS:  # text by definition, as in the landing zone
        return WORDS, length
    if by_name := _by_name(name):
        return by_name, length
    places = np.linspace(0, len(present) - 1, min(len(present), MAX_LOOKED_AT)).astype(int)
    looked_at = [present[place] for place in places]
    if all(word.strip().casefold() in _FLAGS for value in looked_at for word in _each(value)):
        return FLAGS, length
    found = Counter(_kind_of(value) for value in looked_at)
    if 2 * found.pop(WORDS, 0) > len(looked_at):
        return WORDS, length
    return found.most_common(1)[0][0], length


def _innermost(kind: pa.DataType) -> pa.DataType:
    while pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return kind


def _of_type(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return FLAGS
    if pa.types.is_temporal(kind):
        return DATES
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return NUMBERS
    return "no value" if pa.types.is_null(kind) else f"{kind}, no text"


def _by_name(name: str) -> str | None:
    words = _NAME_WORD.findall(name)
    last = words[-1].casefold() if words else ""
    return IDS if last in _ID_NAMES else PATHS if last in _PATH_NAMES else None


def _each(value: object) -> Sequence[str]:
    if isinstance(value, list):
        return [word for one in value for word in _each(one)]
    return [] if value is None else [str(value)]


def _kind_of(value: object) -> str:
    """Kind of a value; for a list that of most of its entries, or words if these are half of them."""
    entries = (word.strip() for word in _each(value))
    found = Counter(map(_kind_of_text, filter(None, entries)))
    return WORDS if 2 * found[WORDS] >= found.total() else found.most_common(1)[0][0]


def _kind_of_text(text: str) -> str:
    text = text[:LONGEST_LOOKED_AT]
    if _NUMBER.fullmatch(text):
        return NUMBERS
    if _PATH.fullmatch(text):
        return PATHS
    if _is_date(text):
        return DATES
    if _ID.fullmatch(text):
        return IDS
    return WORDS if _LETTERS.search(text) else SIGNS


def _is_date(text: str) -> bool:
    if len(text) > _LONGEST_DATE or not any(map(str.isdigit, text)):
        return False
    if _CHINESE_DATE.fullmatch(text):
        return True
    from dateutil.parser import ParserError, parse

    try:
        parse(text, ignoretz=True)
    except (ParserError, OverflowError):
        return False
    return True
