"""What a kind of table must say about its rows so that `batch.read_batch` can read them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from recsys.catalogue.column_names import ColumnNames
from recsys.catalogue.columns import Columns
from recsys.catalogue.fields import BadRow
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.landed_rows import LandedRows
from recsys.catalogue.params import IngestParams
from recsys.catalogue.pseudonyms import NamesUsers
from recsys.catalogue.schemas import RETRY_OF


@dataclass(frozen=True)
class OneFile:
    """What the rows of one landed file are read with."""

    columns: Columns
    """Reads each value as its column is written."""
    params: IngestParams
    arrived_at: datetime
    """Stands in for a missing updated_at."""
    names: NamesUsers
    """Replaces user ids."""
    needed: Collection[str]
    """Further columns that `features.fields` names."""


class RowReader(Protocol):
    """Reads the rows of one file. It may count what it leaves out, so that each file needs its own."""

    def prepared(self, values: dict[str, Any]) -> dict[str, Any]:
        """A landed row under our names of the columns, without what must not be kept."""

    def normal(self, values: dict[str, Any]) -> dict[str, Any]:
        """A prepared row in the schema of the kind, without part and line; raises BadRow where it is unclear."""

    def retained(self, values: dict[str, Any]) -> dict[str, Any]:
        """What quarantine may keep of a bad row."""

    def finished(self, rows: LandedRows, columns: Collection[str]) -> tuple[LandedRows, list[str]]:
        """The rows that stay once all are read, and notes for people; `columns` are those of the file."""

    def ignored(self, columns: Collection[str]) -> dict[str, str]:
        """Column of the file -> why its values, or some of them, were left out."""


def readable(
    values: Mapping[str, Any], readers: Mapping[str, Callable[[Mapping[str, Any], str], Any]]
) -> dict[str, Any]:
    """The values of a bad row as they were read, where they can be; the others as they landed.

    When `quarantine retry` lands the row again, the rest of its column is not there to say how they were written.

    Args:
        values: our column -> value as landed.
        readers: column -> how it is read.

    Returns:
        Column -> value.
    """
    kept = {**values}
    for name, read in readers.items():
        try:
            if found := read(values, name):
                kept[name] = found
        except BadRow:
            continue
    return kept


def unknown_columns(
    kind: str, columns: Iterable[str], names: ColumnNames, also: Collection[str] = ()
) -> dict[str, str]:
    """Columns that the kind does not know, and why they are dropped: they may be personal.

    Args:
        kind: of the table.
        columns: of the file.
        names: says what they mean.
        also: further columns that are known.

    Returns:
        Column of the file -> why it was left out, by name.
    """
    known = KINDS[kind].columns
    why = f"not kept; {kind} keep {', '.join(known)}"
    return {name: why for name in sorted(columns) if names.ours(name) not in {*known, *also, RETRY_OF}}
