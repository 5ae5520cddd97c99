"""A landed file, read and normalised but not yet judged: readable rows in their schema, and unreadable ones."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from recsys.catalogue.columns import Columns, columns_of
from recsys.catalogue.fields import BadRow
from recsys.catalogue.interactions import InteractionRows, impression_rows
from recsys.catalogue.items import ItemRows
from recsys.catalogue.kinds import CATALOGUE, IMPRESSIONS, INTERACTIONS, KINDS, RELATIONS, VECTORS
from recsys.catalogue.landed_rows import LandedRows, spooled
from recsys.catalogue.params import IngestParams
from recsys.catalogue.pseudonyms import NamesUsers
from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile, RawRow
from recsys.catalogue.relations import RelationRows
from recsys.catalogue.row_reader import OneFile, RowReader
from recsys.catalogue.schemas import QUARANTINE_SCHEMA, SCHEMAS
from recsys.catalogue.vectors import VectorRows

READERS: Mapping[str, Callable[[OneFile], RowReader]] = MappingProxyType(
    {
        CATALOGUE: ItemRows,
        INTERACTIONS: InteractionRows,
        RELATIONS: RelationRows,
        VECTORS: VectorRows,
        IMPRESSIONS: impression_rows,
    }
)
"""Kind -> what reads its rows."""

CHUNK_ROWS = 16384
CHUNK_CHARS = 8 * 2**20
"""Rows are moved into Arrow's memory at this number, or at this total length of texts."""

NUMBER_CHARS = 8
"""A number of a list counts like so many characters."""

FAR_TOO_LONG = 10
"""A text this many times longer than allowed is dropped before judging."""

MAX_KEPT_CHARS = 200_000
"""Characters of a row that quarantine keeps; of a longer one it keeps only the reason."""

MAX_KEPT_CHARS_OF_ALL = 256 * 2**20
"""Characters of all bad rows of a file that quarantine keeps; of further rows it keeps only the reason."""


@dataclass
class BadRows:
    """Rows for quarantine: four columns side by side."""

    lines: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    """JSON text of what may be kept of the row."""
    _n_chars: int = field(init=False)

    def __post_init__(self) -> None:
        self._n_chars = sum(map(len, self.rows))

    def add(self, line: int, fault: BadRow, row: dict[str, Any]) -> None:
        """Note one row."""
        self.lines.append(line)
        self.reasons.append(fault.reason)
        self.details.append(fault.detail)
        kept = as_json(row)
        if len(kept) > MAX_KEPT_CHARS or self._n_chars + len(kept) > MAX_KEPT_CHARS_OF_ALL:
            kept = "{}"
        self.rows.append(kept)
        self._n_chars += len(kept)

    def table(self, part: str) -> pa.Table:
        """The quarantine of a part, by line."""
        columns = [self.lines, self.reasons, self.details, self.rows, [part] * len(self.lines)]
        named = dict(zip(QUARANTINE_SCHEMA.names, columns, strict=True))
        return pa.table(named, schema=QUARANTINE_SCHEMA).sort_by("line")


@dataclass(frozen=True)
class Batch:
    """What a landed file holds."""

    kind: str
    rows: LandedRows
    """Readable rows in the schema of the kind, still without a part id."""
    bad: BadRows
    """Rows that could not be read or normalised."""
    columns: frozenset[str]
    """Columns of the file."""
    notes: list[str] = field(default_factory=list)
    """Notes for people: uncommon readings, such as `updated_at read as YYYYMMDD`."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Column -> why its values, or some of them, were left out."""
    candidates: frozenset[str] = frozenset()
    """See `Columns.candidates`."""
    list_of_items: str = ""
    """See `Columns.list_of_items`."""

    @property
    def table(self) -> pa.Table:
        """The readable rows in memory, with all of their columns."""
        return self.rows.table()

    @property
    def n_landed(self) -> int:
        """Rows in the file, good and bad."""
        return self.rows.num_rows + len(self.bad.lines)


def read_batch(
    file: LandedFile,
    kind: str,
    arrived_at: datetime,
    params: IngestParams,
    pseudonyms: NamesUsers,
    needed: Collection[str] = (),
    columns: Columns | None = None,
    spool: Path | None = None,
) -> Batch:
    """Read a staged file; after this no raw user id exists outside the landing zone.

    The file is read twice. A value is read the way its whole column is written, which is known only after the last row.

    Args:
        file: the staged copy.
        kind: one of KINDS.
        arrived_at: stands in for a missing updated_at.
        params: limits.
        pseudonyms: replaces user ids.
        needed: further columns that `features.fields` names; a row is bad if one of them cannot be stored.
        columns: a fresh reader of the values; None: as the landing zone reads them.
        spool: a file for the rows that are read, so that few of them are in memory at once; None: all of them are.

    Returns:
        Readable rows in the schema of the kind, and the unreadable ones.

    Raises:
        BatchRefused: it is empty or too wide, or two columns have one meaning.
        UnreadableFile: it cannot be parsed at all.
        OSError: the spool cannot be written.
    """
    columns = columns or columns_of(kind, params)
    survey = read(file)
    columns.survey(survey.rows, survey.columns, file.key)
    known = frozenset(columns.names.ours(name) for name in survey.columns)
    meant = {name for name in survey.columns if columns.names.ours(name) in KINDS[kind].columns}
    rows, bad = _bounded(read(file).rows, meant, FAR_TOO_LONG * params.max_text_chars), BadRows()
    reader = READERS[kind](OneFile(columns, params, arrived_at, pseudonyms, needed))
    schema = SCHEMAS[kind]
    batches = _batches(_good_rows(rows, reader, bad), schema)
    found = spooled(batches, schema, spool) if spool else LandedRows(pa.Table.from_batches(batches, schema))
    found, hints = reader.finished(found, survey.columns)
    # Half surrogate pairs, which a key of JSON may hold, are no name for people.
    ignored = {
        name.encode("utf-8", "replace").decode(): why for name, why in reader.ignored(survey.columns).items()
    }
    return Batch(
        kind,
        found,
        bad,
        known,
        [*survey.notes, *columns.notes(), *hints],
        ignored,
        columns.names.candidates(survey.columns),
        columns.names.list_of_items,
    )


def _bounded(rows: Iterator[RawRow], meant: Collection[str], max_chars: int) -> Iterator[RawRow]:
    """The rows; a row with a far too long value in a known column becomes its fault."""
    for row in rows:
        for name, value in row.values.items():
            if isinstance(value, str | list) and name in meant and _n_chars(value) > max_chars:
                yield RawRow(row.line, {}, BadRow("text_too_long", f"{name} is far too long"))
                break
        else:
            yield row


def _batches(rows: Iterator[dict[str, Any]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    waiting, n_chars = list[dict[str, Any]](), 0
    for row in rows:
        waiting.append(row)
        n_chars += sum([_n_chars(value) for value in row.values() if isinstance(value, str | list)])
        if len(waiting) == CHUNK_ROWS or n_chars >= CHUNK_CHARS:
            yield pa.RecordBatch.from_pylist(waiting, schema=schema)
            waiting, n_chars = [], 0
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, schema=schema)


def _n_chars(value: str | list[Any]) -> int:
    if isinstance(value, str):
        return len(value)
    texts = (one for one in value if isinstance(one, str | list))
    return sum(map(_n_chars, texts)) if value and isinstance(value[0], str) else NUMBER_CHARS * len(value)


def raw_row(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """A normalised row as it may be landed again, without part, line and missing values."""
    kept = {name: value for name, value in row.items() if name not in {"part", "line", "attributes", "user"}}
    if kind == CATALOGUE:
        kept |= json.loads(row["attributes"])
    elif KINDS[kind].of_people:
        kept["user_pseudonym"] = row["user"]
    return {name: value for name, value in kept.items() if value is not None and value != "" and value != []}


def as_json(row: dict[str, Any]) -> str:
    """JSON text in plain ASCII, so that lone surrogates and control characters can be stored too."""
    return json.dumps(row, sort_keys=True, default=_as_text)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _good_rows(rows: Iterator[RawRow], reader: RowReader, bad: BadRows) -> Iterator[dict[str, Any]]:
    """Good rows as they are read; bad ones go to `bad`, with what may be retained of them."""
    for row in rows:
        if row.fault:
            bad.add(row.line, row.fault, {})
            continue
        values = reader.prepared(row.values)
        try:
            normal = reader.normal(values)
        except BadRow as fault:
            bad.add(row.line, fault, reader.retained(values))
            continue
        normal["line"] = row.line
        yield normal
