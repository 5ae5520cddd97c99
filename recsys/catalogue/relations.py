"""A landed relation -> the relations' schema. Head and tail are items where a catalogue id says so, else entities."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.kinds import RELATIONS
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.personal import PersonalColumns
from recsys.catalogue.row_reader import OneFile, readable, unknown_columns


class RelationRows:
    """Reads rows of head, relation and tail."""

    def __init__(self, file: OneFile) -> None:
        self._file = file
        self._people = PersonalColumns(file.params.personal_columns, ())

    def prepared(self, values: dict[str, Any]) -> dict[str, Any]:
        """The row under our names of the columns."""
        return self._file.columns.names.renamed(values)

    def normal(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """One row in the relations' columns, without part and line.

        Args:
            values: our column -> value as landed.

        Returns:
            Column -> value.

        Raises:
            BadRow: a value has the wrong type or cannot be stored.
        """
        columns = self._file.columns
        return {
            "head": columns.identifier(values, "head"),
            "relation": columns.identifier(values, "relation"),
            "tail": columns.identifier(values, "tail"),
            "updated_at": columns.moment(values, "updated_at") or self._file.arrived_at,
            "deleted": columns.flag(values, "deleted"),
        }

    def retained(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Known columns of a bad row; nothing of a relation that is about people."""
        columns = self._file.columns
        kept = {name: value for name, value in values.items() if name in _KNOWN}
        if self._is_personal(str(kept.get("relation", ""))):
            return {}
        ids = dict.fromkeys(("head", "relation", "tail"), columns.identifier)
        return readable(kept, {**ids, "updated_at": columns.moment})

    def finished(self, rows: LandedRows, columns: Collection[str]) -> tuple[LandedRows, list[str]]:
        """Leave out relations about people: a relation named like a personal column, such as `email`.

        Args:
            rows: of one file.
            columns: of the file.

        Returns:
            The other rows, and a note for people.
        """
        relations = rows.table(["relation"])["relation"]
        names = pc.unique(relations).to_pylist()
        personal = [name for name in names if self._is_personal(name)]
        if not personal:
            return rows, []
        is_personal = np.asarray(pc.is_in(relations, value_set=pa.array(personal, pa.string())))
        n_rows = np.count_nonzero(is_personal)
        why = f"{n_rows:,} rows left out: {', '.join(sorted(personal))} is about people (ingest.personal_columns)"
        return rows.where(~is_personal), [why]

    def ignored(self, columns: Collection[str]) -> dict[str, str]:
        """Columns that relations do not know."""
        return unknown_columns(RELATIONS, columns, self._file.columns.names)

    def _is_personal(self, relation: str) -> bool:
        return not self._people.without({relation: ""})


_KNOWN = frozenset({"head", "relation", "tail", "updated_at", "deleted"})
