"""A landed catalogue row -> the catalogue's schema."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.attributes import Attributes
from recsys.catalogue.columns import Columns
from recsys.catalogue.fields import BadRow
from recsys.catalogue.kinds import CATALOGUE, OURS
from recsys.catalogue.schemas import RETRY_OF

TEXT_FIELDS = ("title", "description", "tags")
"""At least one of these must hold text."""

_OURS = {*OURS[CATALOGUE], RETRY_OF}


def normal_item(
    values: Mapping[str, Any], arrived_at: datetime, columns: Columns, attributes: Attributes
) -> dict[str, Any]:
    """One row in the catalogue's columns, without part and line.

    Args:
        values: column -> value as landed.
        arrived_at: stands in for a missing updated_at.
        columns: reads each value as its column is written.
        attributes: writes further columns.

    Returns:
        Column -> value.

    Raises:
        BadRow: a value is unclear or cannot be stored.
    """
    return {
        "item_id": columns.identifier(values, "item_id"),
        "title": columns.text(values, "title"),
        "description": columns.text(values, "description"),
        "tags": columns.labels(values, "tags"),
        "image": columns.text(values, "image"),
        "attributes": attributes.written({name: v for name, v in values.items() if name not in _OURS}),
        "updated_at": columns.moment(values, "updated_at") or arrived_at,
        "deleted": columns.flag(values, "deleted"),
    }


def retained(values: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """What quarantine may keep of a bad row; id and time as they were read, where possible.

    When `quarantine retry` lands the row again, the rest of its column is not there to say how they were written.
    """
    kept = {**values}
    for name, read in (("item_id", columns.identifier), ("updated_at", columns.moment)):
        try:
            if found := read(values, name):
                kept[name] = found
        except BadRow:
            continue
    return kept


def without_variants(table: pa.Table) -> tuple[pa.Table, int]:
    """Leave out rows without text that repeat an item of the same file: exports of product variants.

    Args:
        table: rows of one file.

    Returns:
        The other rows, and how many were left out.
    """
    has_text = pc.or_(
        pc.or_(pc.not_equal(table["title"], ""), pc.not_equal(table["description"], "")),
        pc.greater(pc.list_value_length(table["tags"]), 0),
    )
    is_bare = pc.and_not(pc.and_not(pc.invert(has_text), table["deleted"]), pc.equal(table["item_id"], ""))
    with_text = pc.unique(table.filter(has_text)["item_id"])
    is_variant = pc.and_(is_bare, pc.is_in(table["item_id"], value_set=with_text))
    n = pc.sum(is_variant).as_py() or 0
    return (table.filter(pc.invert(is_variant)) if n else table), n


def variant_notes(n_variants: int) -> list[str]:
    """What a person should know about rows that were left out."""
    if not n_variants:
        return []
    return [
        f"{n_variants:,} rows left out: they repeat an item of this file without any text, as variants do"
    ]
