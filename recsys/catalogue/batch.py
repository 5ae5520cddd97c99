"""A landed file, read and normalised but not yet judged: readable rows in their schema, and unreadable ones."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

import pyarrow as pa

from recsys.catalogue.fields import BadRow
from recsys.catalogue.interactions import normal_interaction, retained
from recsys.catalogue.items import COLUMNS, normal_item
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import CATALOGUE, QUARANTINE_SCHEMA, SCHEMAS
from recsys.catalogue.personal import PersonalColumns
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.readers import LandedFile, RawRow, read

CHUNK_ROWS = 16384


@dataclass(frozen=True)
class BadRows:
    """Rows for quarantine: four columns side by side."""

    lines: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    """JSON text of what may be kept of the row."""

    def add(self, line: int, fault: BadRow, row: dict[str, Any]) -> None:
        """Note one row."""
        self.lines.append(line)
        self.reasons.append(fault.reason)
        self.details.append(fault.detail)
        self.rows.append(as_json(row))

    def table(self, part: str) -> pa.Table:
        """The quarantine of a part, by line."""
        columns = [self.lines, self.reasons, self.details, self.rows, [part] * len(self.lines)]
        named = dict(zip(QUARANTINE_SCHEMA.names, columns, strict=True))
        return pa.table(named, schema=QUARANTINE_SCHEMA).sort_by("line")


@dataclass(frozen=True)
class Batch:
    """What a landed file holds."""

    kind: str
    table: pa.Table
    """Readable rows in the schema of the kind, still without a part id."""
    bad: BadRows
    """Rows that could not be read or normalised."""
    columns: frozenset[str]
    """Columns met in the file."""
    notes: list[str] = field(default_factory=list)
    """For people: how the file was read where that was not plain, such as `updated_at read as YYYYMMDD`."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Column -> why its values, or some of them, were left out."""

    @property
    def n_landed(self) -> int:
        """Rows in the file, good and bad."""
        return int(self.table.num_rows) + len(self.bad.lines)


def read_batch(
    file: LandedFile, kind: str, arrived_at: datetime, params: IngestParams, pseudonyms: Pseudonyms
) -> Batch:
    """Read a staged file; after this no raw user id exists outside the landing zone.

    Args:
        file: the staged copy.
        kind: CATALOGUE or INTERACTIONS.
        arrived_at: stands in for a missing updated_at.
        params: limits.
        pseudonyms: replaces user ids.

    Returns:
        Readable rows in the schema of the kind, and the unreadable ones.

    Raises:
        BatchRefused: it is empty or too wide.
        UnreadableFile: it cannot be parsed at all.
    """
    reading = read(file)
    bad = BadRows()
    people = PersonalColumns(params.personal_columns, COLUMNS)
    normalise, keep = _for_kind(kind, arrived_at, params, pseudonyms, people)
    schema = SCHEMAS[kind]
    good = _good_rows(reading.rows, normalise, keep, bad)
    chunks = []
    while chunk := list(islice(good, CHUNK_ROWS)):
        chunks.append(pa.RecordBatch.from_pylist(chunk, schema=schema))
    table = pa.Table.from_batches(chunks, schema)
    why = "it is about people (ingest.personal_columns)"
    ignored = dict.fromkeys(people.found, why)
    return Batch(kind, table, bad, frozenset(reading.columns), reading.notes, ignored)


def raw_row(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """A normalised row as it may be landed again, without part, line and missing values."""
    kept = {name: value for name, value in row.items() if name not in {"part", "line", "attributes", "user"}}
    if kind == CATALOGUE:
        kept |= json.loads(row["attributes"])
    else:
        kept["user_pseudonym"] = row["user"]
    return {name: value for name, value in kept.items() if value is not None and value != "" and value != []}


def as_json(row: dict[str, Any]) -> str:
    """JSON text in plain ASCII, so that half surrogates and control characters can be kept too."""
    return json.dumps(row, sort_keys=True, default=_as_text)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


_Normalise = Callable[[dict[str, Any]], dict[str, Any]]


def _for_kind(
    kind: str, arrived_at: datetime, params: IngestParams, pseudonyms: Pseudonyms, people: PersonalColumns
) -> tuple[_Normalise, _Normalise]:
    """How a row is normalised, and what may be kept of a bad one."""
    if kind == CATALOGUE:
        return lambda values: normal_item(people.without(values), arrived_at), people.without
    limit = params.max_id_chars
    return (
        lambda values: normal_interaction(values, pseudonyms, limit),
        lambda values: retained(values, pseudonyms, limit),
    )


def _good_rows(
    rows: Iterator[RawRow], normalise: _Normalise, keep: _Normalise, bad: BadRows
) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row.fault:
            bad.add(row.line, row.fault, {})
            continue
        try:
            normal = normalise(row.values)
        except BadRow as fault:
            bad.add(row.line, fault, keep(row.values))
            continue
        normal["line"] = row.line
        yield normal
