"""Open a benchmark's files with the code that reads the landing zone, and stop at faulty rows.

Where ingestion would quarantine a row, a benchmark stops: results on a part of the rows would be worthless.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.batch import Batch, read_batch
from recsys.catalogue.columns import Columns
from recsys.catalogue.landing import ENDINGS, ZIP, ending
from recsys.catalogue.likely_columns import likely_names
from recsys.catalogue.params import IngestParams
from recsys.catalogue.pseudonyms import UsersAsGiven
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import UnreadableFile

N_SHOWN = 5
"""Faulty rows in a message."""


@dataclass(frozen=True)
class OwnFile:
    """The content of one file."""

    table: pa.Table
    n_rows: int
    """Rows of the file."""
    notes: tuple[str, ...]
    """Notes for people: how ambiguous values were read, and what was left out."""


def open_file(path: Path, kind: str, params: IngestParams) -> LandedFile:
    """Describe a file as one that has landed.

    Args:
        path: the file.
        kind: one of KINDS.
        params: section `ingest`: limits, and names of columns.

    Returns:
        What readers take.

    Raises:
        UnreadableFile: its ending says no form that can be read.
    """
    found = ending(path.name)
    if found not in {*ENDINGS, ZIP}:
        raise UnreadableFile(
            f"{path} has none of the endings {', '.join(ENDINGS)}", remedy="convert or rename it"
        )
    limits, names = (params.max_columns, params.max_decoded_mb), params.column_names.get(kind, {})
    return LandedFile(path, str(path), found, *limits, names)


def read_all(
    path: Path,
    kind: str,
    params: IngestParams,
    columns: Columns,
    required: Sequence[str],
    needed: Sequence[str] = (),
) -> Batch:
    """Read all rows of a file. Faulty ones are in the batch too, see `refuse_faulty_rows`.

    Args:
        path: a file that may land as this kind.
        kind: one of KINDS.
        params: section `ingest`.
        columns: how its columns are read.
        required: columns that it must have.
        needed: columns whose values must be kept.

    Returns:
        Its rows.

    Raises:
        UnreadableFile: it cannot be parsed, or lacks a column; names it.
        BatchRefused: it is empty or too wide.
    """
    arrived_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    file = open_file(path, kind, params)
    batch = read_batch(file, kind, arrived_at, params, UsersAsGiven(), tuple(needed), columns)
    require_columns(path, batch.columns, batch.columns, required)
    return batch


def require_columns(path: Path, ours: Iterable[str], theirs: Iterable[str], required: Sequence[str]) -> None:
    """Refuse a file without a column.

    Args:
        path: the file.
        ours: the columns that were found in it, by our names.
        theirs: its columns, by the names it gives them.
        required: columns that it must have, by our names.

    Raises:
        UnreadableFile: one is missing; names it, and the column that it may be.
    """
    for name in required:
        if name not in ours:
            likely = likely_names(theirs, name)
            hint = f"; is it {likely[0]!r}?" if likely else ""
            raise UnreadableFile(
                f"{path} has no column {name!r}, it has {', '.join(sorted(theirs))}{hint}",
                remedy=f"give it the columns {', '.join(required)}",
            )


def refuse_faulty_rows(path: Path, batch: Batch, never_empty: Mapping[str, str]) -> None:
    """Refuse a file with rows that ingestion would quarantine, or that lack a value.

    Args:
        path: the file.
        batch: its rows.
        never_empty: columns that no row may leave empty -> their names in messages.

    Raises:
        UnreadableFile: there are such rows; names the first ones.
    """
    faults = list(zip(batch.bad.lines, batch.bad.details, strict=True))
    for name, shown in never_empty.items():
        faults += [(line, f"{shown} is empty") for line in _lines_without(batch.table, name)]
    refuse_faults(path, faults)


def _lines_without(table: pa.Table, name: str) -> list[int]:
    column = table[name]
    is_empty = pc.is_null(column)
    if pa.types.is_string(column.type):
        is_empty = pc.fill_null(pc.equal(column, ""), True)
    lines: list[int] = table["line"].filter(is_empty).to_pylist()
    return lines


def refuse_faults(path: Path, faults: Sequence[tuple[int, str]]) -> None:
    """Refuse a file with faulty rows.

    Args:
        path: the file.
        faults: lines and what is wrong.

    Raises:
        UnreadableFile: there are any; names the first ones.
    """
    if not faults:
        return
    shown = [f"line {line}: {detail}" for line, detail in sorted(faults)[:N_SHOWN]]
    more = [f"and {len(faults) - N_SHOWN:,} more rows"] if len(faults) > N_SHOWN else []
    raise UnreadableFile(
        f"{path}, {'; '.join([*shown, *more])}", remedy="correct these rows, or remove them from the file"
    )


def notes_of(batch: Batch) -> Iterable[str]:
    """How a batch was read, and which columns were left out, for people."""
    yield from batch.notes
    yield from (f"column {name}: {why}" for name, why in sorted(batch.ignored.items()))
