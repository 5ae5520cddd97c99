"""A landed catalogue row -> the catalogue's schema."""

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.attributes import Attributes
from recsys.catalogue.kinds import CATALOGUE, KINDS
from recsys.catalogue.personal import PersonalColumns
from recsys.catalogue.row_reader import OneFile, readable
from recsys.catalogue.schemas import RETRY_OF

TEXT_FIELDS = ("title", "description", "tags")
"""At least one of these must hold text."""

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
        return self._people.without(self._file.columns.renamed(values))

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
            "image": columns.text(values, "image"),
            "attributes": self._attributes.written(further),
            "updated_at": columns.moment(values, "updated_at") or self._file.arrived_at,
            "deleted": columns.flag(values, "deleted"),
        }

    def retained(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The bad row, its id and time as they were read where that is possible."""
        columns = self._file.columns
        return readable(values, {"item_id": columns.identifier, "updated_at": columns.moment})

    def finished(self, table: pa.Table, columns: Collection[str]) -> tuple[pa.Table, list[str]]:
        """The rows without those of variants, and notes for people."""
        table, n_variants = without_variants(table)
        return table, [*variant_notes(n_variants), *self._file.columns.hints(columns)]

    def ignored(self, columns: Collection[str]) -> dict[str, str]:
        """Columns about people, and attributes that could not be stored."""
        why = "it is about people (ingest.personal_columns)"
        return dict.fromkeys(self._people.found, why) | self._attributes.ignored()


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
