"""A landed catalogue row -> the catalogue's schema."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.attributes import Attributes
from recsys.catalogue.fields import shown
from recsys.catalogue.kinds import CATALOGUE, KINDS
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.personal import PersonalColumns
from recsys.catalogue.row_reader import OneFile, readable
from recsys.catalogue.schemas import RETRY_OF

TEXT_FIELDS = ("title", "description", "tags")
"""At least one of these must hold text."""

_AS_1252 = "".join(bytes([n]).decode("cp1252", "ignore") for n in range(0x80, 0xA0))
GARBLED = f"\u00c3[\u0080-\u00bf{_AS_1252}]|\u00c2[\u00a0-\u00bf]|\u00e2\u20ac[\u00a0-\u00bf{_AS_1252}]"
"""Ã, Â or â€, the first bytes of a letter or of punctuation in UTF-8, and a further byte of it, as Windows-1252 shows
them."""
_NO_ROWS = np.empty(0, np.bool_)
_OURS = {*KINDS[CATALOGUE].columns, RETRY_OF}


class ItemRows:
    """Reads rows of items."""

    def __init__(self, file: OneFile) -> None:
        columns, params = file.columns, file.params
        self._file = file
        self._attributes = Attributes(file.needed, params.max_text_chars, columns.is_missing)
        self._people = PersonalColumns(params.personal_columns, KINDS[CATALOGUE].columns)

    def prepared(self, values: dict[str, Any]) -> dict[str, Any]:
        """The row under our names of the columns, without columns about people."""
        return self._people.without(self._file.columns.names.renamed(values))

    def normal(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """One row in the catalogue's columns, without part and line.

        Args:
            values: our column -> value as landed.

        Returns:
            Column -> value.

        Raises:
            BadRow: a value is unclear or cannot be stored.
        """
        columns = self._file.columns
        further = {name: value for name, value in values.items() if name not in _OURS}
        return {
            "item_id": columns.identifier(values, "item_id"),
            "title": columns.text(values, "title"),
            "description": columns.text(values, "description"),
            "tags": columns.labels(values, "tags"),
            "image": columns.address(values, "image"),
            "attributes": self._attributes.written(further),
            "updated_at": columns.moment(values, "updated_at") or self._file.arrived_at,
            "deleted": columns.flag(values, "deleted"),
        }

    def retained(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The bad row, its id and time as they were read where that is possible."""
        columns = self._file.columns
        return readable(values, {"item_id": columns.identifier, "updated_at": columns.moment})

    def finished(self, rows: LandedRows, columns: Collection[str]) -> tuple[LandedRows, list[str]]:
        """The rows without those of variants, and notes for people."""
        rows, n_variants = without_variants(rows)
        notes = [
            *variant_notes(n_variants),
            *case_notes(rows.table(["item_id"])["item_id"]),
            *garbled_notes(rows),
        ]
        return rows, [*notes, *self._file.columns.names.hints(columns)]

    def ignored(self, columns: Collection[str]) -> dict[str, str]:
        """Columns about people, and attributes that could not be stored."""
        why = "it is about people (ingest.personal_columns)"
        return dict.fromkeys(self._people.found, why) | self._attributes.ignored()


def without_variants(rows: LandedRows) -> tuple[LandedRows, int]:
    """Leave out rows without text that repeat an item of the same file: exports of product variants.

    Args:
        rows: of one file.

    Returns:
        The other rows, and how many were left out.
    """
    has_text, is_bare = [_NO_ROWS], [_NO_ROWS]
    for batch in rows.batches(["item_id", *TEXT_FIELDS, "deleted"]):
        named = pc.not_equal(batch["item_id"], "")
        with_text = pc.or_(
            pc.or_(pc.not_equal(batch["title"], ""), pc.not_equal(batch["description"], "")),
            pc.greater(pc.list_value_length(batch["tags"]), 0),
        )
        has_text.append(np.asarray(with_text))
        is_bare.append(np.asarray(pc.and_not(pc.and_not(named, batch["deleted"]), with_text)))
    item_ids = rows.table(["item_id"])["item_id"]
    has_text_R = np.concatenate(has_text)
    known = pc.unique(item_ids.filter(pa.array(has_text_R)))
    is_variant_R = np.concatenate(is_bare) & np.asarray(pc.is_in(item_ids, value_set=known))
    return rows.where(~is_variant_R), int(np.count_nonzero(is_variant_R))


def variant_notes(n_variants: int) -> list[str]:
    """What a person should know about rows that were left out."""
    if not n_variants:
        return []
    return [
        f"{n_variants:,} rows left out: they repeat an item of this file without any text, as variants do"
    ]


def case_notes(item_ids: pa.ChunkedArray) -> list[str]:
    """What a person should know about ids that differ in case alone; they are ids of different items."""
    distinct = pc.unique(item_ids)
    lower = pc.utf8_lower(distinct)
    n = len(distinct) - pc.count_distinct(lower).as_py()
    if not n:
        return []
    counts = pc.value_counts(lower)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0]
    first, second = distinct.filter(pc.equal(lower, repeated)).to_pylist()[:2]
    what = f"{n:,} ids differ" if n > 1 else "1 id differs"
    return [f"item_id: {what} from another one in case alone, such as {shown(first)} and {shown(second)}"]


def garbled_notes(rows: LandedRows) -> list[str]:
    """What a person should know about UTF-8 that somebody has read as Windows-1252, such as Ã© for é."""
    found = []
    for name in ("title", "description"):
        n, example = 0, ""
        for batch in rows.batches([name]):
            garbled = batch[name].filter(pc.match_substring_regex(batch[name], GARBLED))
            if len(garbled):
                n, example = n + len(garbled), example or garbled[0].as_py()
        if n:
            found.append(
                f"{name}: {n:,} texts such as {shown(example)} look like UTF-8 that was read as Windows-1252; write "
                "them again from their source"
            )
    return found
