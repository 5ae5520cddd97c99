"""Parts: one landed file, accepted; `data/<kind>/<part>/` holds its rows, its quarantine and its record."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recsys.errors import RecsysError

CATALOGUE = "catalogue"
INTERACTIONS = "interactions"
KINDS = (CATALOGUE, INTERACTIONS)
Kind = Literal["catalogue", "interactions"]

ROWS = "rows.parquet"
QUARANTINED = "quarantined.parquet"
ARRIVAL = "arrival.json"
REPORT = "report.html"

TIME = pa.timestamp("us", tz="UTC")
CATALOGUE_SCHEMA = pa.schema(
    [
        ("item_id", pa.string()),
        ("title", pa.string()),
        ("description", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("image", pa.string()),
        ("attributes", pa.string()),
        ("updated_at", TIME),
        ("deleted", pa.bool_()),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
INTERACTIONS_SCHEMA = pa.schema(
    [
        ("user", pa.string()),
        ("item_id", pa.string()),
        ("event", pa.string()),
        ("value", pa.float64()),
        ("timestamp", TIME),
        ("part", pa.string()),
        ("line", pa.int64()),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("row", pa.string()),
        ("part", pa.string()),
    ]
)
SCHEMAS = {CATALOGUE: CATALOGUE_SCHEMA, INTERACTIONS: INTERACTIONS_SCHEMA}

PART_ID = re.compile(r"(\d{6,})-(m[0-9a-f]{8}|[0-9a-f]{10})")


class AcceptedBy(BaseModel):
    """Who let a refused batch in, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    who: str
    why: str


class Statistics(BaseModel):
    """What a landed file looked like as a whole; later batches are measured against it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_landed: int = 0
    """Rows in the landed file, good and bad."""
    n_texts: int = 0
    """Accepted rows with text."""
    median_chars: dict[str, float] = Field(default_factory=dict)
    """Text field -> median length in characters where it is not empty."""
    languages: dict[str, int] = Field(default_factory=dict)
    """ISO 639-1 code -> texts that are surely in it, in a sample of the batch."""
    n_language_sample: int = 0
    """Texts in that sample."""
    boilerplate_share: float = 0.0
    """Share of texts that repeat the commonest long text."""
    near_duplicate_texts: int = 0
    """Long texts, in a sample of the batch, that are nearly the same as another one."""


class Arrival(BaseModel):
    """The record of one part: where it came from and what became of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str
    kind: Kind
    source: str
    """Name of the landed file, without folders."""
    sha256: str
    """Of the landed file's bytes; of the merged ids where parts were merged."""
    size: int
    """Bytes of the landed file."""
    arrived_at: datetime
    """When the landed file was written (its mtime)."""
    n_rows: int = 0
    n_quarantined: int = 0
    rows_sha256: str = ""
    accepted_by: AcceptedBy | None = None
    """A person who let the batch in although it was refused."""
    merges: tuple[str, ...] = ()
    """Parts that this one replaces."""
    statistics: Statistics = Statistics()
    merged_arrivals: tuple["Arrival", ...] = ()
    """Records of every landed file in a merged part, oldest first: compaction forgets nothing."""

    def landed(self) -> tuple["Arrival", ...]:
        """One record per landed file in this part: itself, or those it merged."""
        return self.merged_arrivals or (self,)

    @classmethod
    def load(cls, path: Path) -> "Arrival":
        """Read arrival.json.

        Raises:
            RecsysError: it is damaged; names the file.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RecsysError(
                f"{path} is damaged: {error.errors()[0]['msg']}",
                remedy="restore data/ with `dvc checkout data.dvc --force`",
            ) from error

    def save(self, path: Path) -> None:
        """Write arrival.json: sorted keys, no clock."""
        write_json(path, self.model_dump(mode="json"))


@dataclass(frozen=True)
class Part:
    """One accepted part on disk."""

    id: str
    kind: str
    folder: Path
    arrival: Arrival

    @property
    def rows_path(self) -> Path:
        """rows.parquet."""
        return self.folder / ROWS

    @property
    def report_path(self) -> Path:
        """The batch's page for people, without personal data."""
        return self.folder / REPORT

    def rows(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Accepted rows, in the schema of its kind.

        Args:
            columns: only these; None for all.

        Raises:
            RecsysError: the file is missing, damaged or of another schema; names it.
        """
        return _read(self.rows_path, SCHEMAS[self.kind], columns)

    def quarantined(self) -> pa.Table:
        """Rows that were left out, with reason and source line.

        Raises:
            RecsysError: the file is missing, damaged or of another schema; names it.
        """
        return _read(self.folder / QUARANTINED, QUARANTINE_SCHEMA)


def part_id(sequence: int, sha256: str) -> str:
    """The id of a landed file that is the `sequence`-th to be accepted."""
    return f"{sequence:06d}-{sha256[:10]}"


def sequence_of(part: str) -> int:
    """The sequence number inside a part id."""
    return int(part.partition("-")[0])


def all_parts(data: Path) -> tuple[Part, ...]:
    """Every part on disk, of both kinds, merged ones included, sorted by id."""
    return tuple(sorted((part for kind in KINDS for part in _on_disk(data, kind)), key=part_order))


def list_parts(data: Path, kind: str) -> tuple[Part, ...]:
    """Parts of one kind in order of acceptance, without those that another part has merged.

    Args:
        data: the workspace's data folder; a missing one holds no parts.
        kind: CATALOGUE or INTERACTIONS.

    Raises:
        RecsysError: a part's record is missing or damaged; names the file.
    """
    found = _on_disk(data, kind)
    merged = {name for part in found for name in part.arrival.merges}
    return tuple(part for part in found if part.id not in merged)


def next_sequence(data: Path) -> int:
    """The sequence number of the next accepted part."""
    return 1 + max((sequence_of(part.id) for part in all_parts(data)), default=0)


def part_order(part: Part) -> tuple[int, str]:
    """Sort key: order of acceptance; a merged part follows the last part that it merges."""
    return sequence_of(part.id), part.id


def write_part(
    staging: Path,
    data: Path,
    arrival: Arrival,
    rows: pa.Table,
    quarantined: pa.Table | None = None,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Part:
    """Make a part in staging and accept it with one rename; a part that is there already is left as it is.

    Args:
        staging: folder on the same file system as `data`.
        data: the workspace's data folder.
        arrival: the record; counts and rows_sha256 are filled in here.
        rows: accepted rows, in the schema of the kind.
        quarantined: rows left out, in QUARANTINE_SCHEMA.
        files: further files by name, such as the report.

    Raises:
        ValueError: rows do not have the schema of the kind.
    """
    target = data / arrival.kind / arrival.part
    if quarantined is None:
        quarantined = QUARANTINE_SCHEMA.empty_table()
    draft = staging / arrival.part
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    write_table(draft / ROWS, rows, SCHEMAS[arrival.kind])
    write_table(draft / QUARANTINED, quarantined, QUARANTINE_SCHEMA)
    counted = {"n_rows": rows.num_rows, "n_quarantined": quarantined.num_rows}
    arrival = arrival.model_copy(update=counted | {"rows_sha256": sha256_of(draft / ROWS)})
    for name, content in files.items():
        (draft / name).write_bytes(content)
    arrival.save(draft / ARRIVAL)
    for path in (*draft.iterdir(), draft):
        _sync(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(draft)
        return Part(arrival.part, arrival.kind, target, Arrival.load(target / ARRIVAL))
    draft.rename(target)
    _sync(target.parent)
    return Part(arrival.part, arrival.kind, target, arrival)


def write_table(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """Write a table so that the same rows give the same bytes.

    Raises:
        ValueError: the table has another schema.
    """
    if not table.schema.equals(schema):
        raise ValueError(f"{path.name} needs the columns {schema.names}, got {table.schema}")
    plain = table.combine_chunks().replace_schema_metadata(None)
    pq.write_table(plain, path, compression="zstd", row_group_size=65536, version="2.6")


def write_json(path: Path, value: object) -> None:
    """Write JSON through a temporary file and a rename."""
    temporary = path.parent / f".tmp-{path.name}"
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    _sync(temporary)
    temporary.replace(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _on_disk(data: Path, kind: str) -> list[Part]:
    folder = data / kind
    if not folder.is_dir():
        return []
    # A folder that `remove_merged` has emptied but not yet removed is no part.
    found = [f for f in folder.iterdir() if PART_ID.fullmatch(f.name) and any(f.iterdir())]
    parts = [Part(f.name, kind, f, _arrival(f)) for f in found]
    return sorted(parts, key=part_order)


def _arrival(folder: Path) -> Arrival:
    try:
        return Arrival.load(folder / ARRIVAL)
    except FileNotFoundError as error:
        remedy = "restore data/ with `dvc checkout data.dvc --force`"
        raise RecsysError(f"{folder / ARRIVAL} is missing", remedy=remedy) from error


def _read(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    remedy = "restore data/ with `dvc checkout data.dvc --force`"
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    try:
        table = pq.read_table(path, columns=columns, memory_map=True)
    except (OSError, pa.ArrowException) as error:
        raise RecsysError(f"{path} cannot be read: {error}", remedy=remedy) from error
    if not table.schema.equals(schema):
        raise RecsysError(f"{path} has the columns {table.schema.names}, not {schema.names}", remedy=remedy)
    return table


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
