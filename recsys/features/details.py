"""Details of items, for pages and filters; the format of artifacts/details: Arrow files, one per part."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recsys.catalogue.plain_text import plain_text
from recsys.features.text import composed, cut
from recsys.features.words import WORDS_VERSION
from recsys.storage.checksums import key_of
from recsys.storage.tables import in_blocks

DETAILS_VERSION = 1
"""Part of every details key; raised when the same row would give other details or terms."""

SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("image", pa.string()),
        ("updated_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""Columns of every file; one column per attribute follows."""
LIST, TEXT, NUMBER = pa.list_(pa.string()), pa.string(), pa.float64()
"""Types of an attribute's column: LIST where a row has several values, NUMBER where every value is a number."""
# Codes with leading zeros and longer numbers stay text: as numbers they would lose digits.
WRITTEN_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,9})?")
LARGEST_WHOLE = 2**53
SUFFIX = ".details.arrow"


def details_key(rows_sha256: str, attributes: Sequence[str], description_chars: int) -> str:
    """The key of everything that a part's details and terms depend on."""
    return key_of([rows_sha256, sorted(attributes), description_chars, DETAILS_VERSION, WORDS_VERSION])


def details_path(folder: Path, part: str, key: str) -> Path:
    """Where the details of a part lie."""
    return folder / f"{part}-{key}{SUFFIX}"


def live_rows(rows: pa.Table) -> pa.Table:
    """Rows other than deletes, in order, which is the order of a segment's vectors."""
    return rows.filter(pa.array(~np.asarray(rows["deleted"].to_numpy(zero_copy_only=False), bool)))


def item_details(groups: Iterable[pa.Table], attributes: Sequence[str], description_chars: int) -> pa.Table:
    """Choose the details of the live rows of a part.

    Args:
        groups: catalogue rows of one part, in the format of `catalogue/parts.py`, some at a time.
        attributes: names of further columns to keep.
        description_chars: a description is cut here, at a word boundary.

    Returns:
        One row per live row, in order: SCHEMA, then a column per attribute that some row has, sorted by name. Titles
        and descriptions are free of markup.
    """
    shown, chosen = [], []
    for live in map(live_rows, groups):
        shown.append(_shown(live, description_chars))
        chosen.append((_chosen(live["attributes"].to_pylist(), attributes), len(live)))
    made = pa.concat_tables(shown)
    for name in sorted({name for found, _ in chosen for name in found}):
        values = [value for found, n in chosen for value in found.get(name, [None] * n)]
        made = made.append_column(name, attribute_array(values))
    return made.combine_chunks()


def _shown(live: pa.Table, description_chars: int) -> pa.Table:
    """What SCHEMA names of some rows."""
    columns = {
        "item_id": live["item_id"],
        "title": _mapped(_plain, live.select(["title"])),
        "description": _mapped(
            lambda text: cut(_plain(text), description_chars), live.select(["description"])
        ),
        "tags": live["tags"],
        "image": live["image"],
        "updated_at": live["updated_at"],
    }
    return pa.table(columns).cast(SCHEMA)


def attribute_array(values: Sequence[Any]) -> pa.Array:
    """Values of one attribute, as JSON gives them, in the narrowest type that holds them all.

    Args:
        values: one per row; None where a row has none.

    Returns:
        An array of type NUMBER, TEXT or LIST.
    """
    there = [value for value in values if value is not None]
    if any(isinstance(value, list) for value in there):
        return pa.array([None if value is None else texts_of(value) for value in values], LIST)
    if all(_is_number(value) for value in there):
        return pa.array([None if value is None else float(value) for value in values], NUMBER)
    return pa.array([None if value is None else value_text(value) for value in values], TEXT)


def value_text(value: Any) -> str:  # noqa: ANN401  any JSON value
    """One value as text: a number without needless decimals, what is nested as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_WHOLE:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def texts_of(value: Any) -> list[str]:  # noqa: ANN401  any JSON value
    """One value or a list of them as texts; none where there is nothing."""
    values = value if isinstance(value, list) else [value]
    return [value_text(one) for one in values if one is not None]


def _is_number(value: Any) -> bool:  # noqa: ANN401  any JSON value
    if isinstance(value, str):
        return WRITTEN_NUMBER.fullmatch(value) is not None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) <= LARGEST_WHOLE


def _chosen(written: Sequence[str | None], attributes: Sequence[str]) -> dict[str, list[Any]]:
    """Name -> one value per row, of the attributes that one of these rows has."""
    found: dict[str, list[Any]] = {}
    wanted = set(attributes)
    for row, text in enumerate(written if attributes else ()):
        further = json.loads(text) if text else {}
        for name in further.keys() & wanted:
            if name not in found:
                found[name] = [None] * len(written)
            found[name][row] = further[name]
    return found


def _mapped(change: Callable[[str | None], str], column: pa.Table) -> pa.Array:
    """Apply a function to each text of a table's only column."""
    blocks = (block.column(0).to_pylist() for block in in_blocks(column))
    return pa.concat_arrays([pa.array(map(change, block), pa.string()) for block in blocks])


def _plain(text: str | None) -> str:
    """A text without markup; the text itself if it is nothing but markup."""
    return plain_text(text or "") or composed(text or "")
