"""Parts: one or several accepted files. `data/<kind>/<part>/` holds their rows, quarantine and record."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.catalogue.arrival import AcceptedBy, Arrival, Statistics, write_json
from recsys.catalogue.kinds import CATALOGUE, IMPRESSIONS, INTERACTIONS, KINDS, RELATIONS, VECTORS
from recsys.catalogue.schemas import (
    CATALOGUE_SCHEMA,
    IMPRESSIONS_SCHEMA,
    INTERACTIONS_SCHEMA,
    QUARANTINE_SCHEMA,
    SCHEMAS,
    TIME,
)
from recsys.errors import DataDamaged

__all__ = [
    "ARRIVAL",
    "CATALOGUE",
    "CATALOGUE_SCHEMA",
    "IMPRESSIONS",
    "IMPRESSIONS_SCHEMA",
    "INTERACTIONS",
    "INTERACTIONS_SCHEMA",
    "KINDS",
    "PART_ID",
    "QUARANTINED",
    "QUARANTINE_SCHEMA",
    "RELATIONS",
    "REPORT",
    "ROWS",
    "SCHEMAS",
    "TIME",
    "VECTORS",
    "AcceptedBy",
    "Arrival",
    "Part",
    "Statistics",
    "all_parts",
    "joined_arrival",
    "list_parts",
    "next_sequence",
    "part_id",
    "part_order",
    "sequence_of",
    "sha256_of",
    "write_json",
    "write_part",
]

ROWS = "rows.parquet"
QUARANTINED = "quarantined.parquet"
ARRIVAL = "arrival.json"
REPORT = "report.html"

GROUP_ROWS, GROUP_BYTES = 65_536, 64 * 2**20
"""Size of a row group, which readers hold in memory: at most so many rows, or bytes and one slice more."""
_SLICE_ROWS = 1024
_BATCH_ROWS = 4096
_RESTORE = "restore data/ with `dvc checkout data.dvc --force`"

PART_ID = re.compile(r"(\d{6,})-(m[0-9a-f]{8}|[0-9a-f]{10})")


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

        Returns:
            A table; its columns in the order of `columns`.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        return _read(self.rows_path, SCHEMAS[self.kind], columns)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Accepted rows, some thousand at a time, so that texts never are in memory together.

        Args:
            columns: only these; None for all.

        Yields:
            Batches in the schema of the kind, in order.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        yield from _read_batches(self.rows_path, SCHEMAS[self.kind], columns)

    def groups(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Accepted rows, a row group at a time (GROUP_ROWS, GROUP_BYTES).

        Args:
            columns: only these; None for all.

        Yields:
            Tables in the schema of the kind, in order; an empty one for a part without rows.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        with _opened(self.rows_path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns, use_threads=False)
                yield _in_schema(self.rows_path, table, SCHEMAS[self.kind], columns)

    def quarantined(self) -> pa.Table:
        """Rows that were left out, with reason and source line.

        Returns:
            A table in QUARANTINE_SCHEMA.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        return _read(self.folder / QUARANTINED, QUARANTINE_SCHEMA)


def part_id(sequence: int, sha256: str) -> str:
    """The id of a landed file that is the `sequence`-th to be accepted."""
    return f"{sequence:06d}-{sha256[:10]}"


def joined_arrival(
    landed: Sequence[Arrival], sequence: int, ids: Sequence[str], merges: tuple[str, ...] = ()
) -> Arrival:
    """The record of a part that holds several landed files.

    Args:
        landed: records of the files, oldest first.
        sequence: of the last of them.
        ids: of the parts or landed files it is made of; its own id is a hash of them.
        merges: parts that it replaces.

    Returns:
        The record; its id is `<sequence>-m<8 hex of the ids>`.
    """
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return Arrival(
        part=f"{sequence:06d}-m{digest[:8]}",
        kind=landed[0].kind,
        source=f"{len(landed)} landed files",
        sha256=digest,
        size=sum(record.size for record in landed),
        arrived_at=max(record.arrived_at for record in landed),
        merges=merges,
        merged_arrivals=tuple(landed),
    )


def sequence_of(part: str) -> int:
    """The sequence number inside a part id."""
    return int(part.partition("-")[0])


def all_parts(data: Path) -> tuple[Part, ...]:
    """Every part on disk, of all kinds, merged ones included, sorted by id."""
    return tuple(sorted((part for kind in KINDS for part in _on_disk(data, kind)), key=part_order))


def list_parts(data: Path, kind: str) -> tuple[Part, ...]:
    """Parts of one kind in order of acceptance, without those that another part has merged.

    Args:
        data: the workspace's data folder; a missing one holds no parts.
        kind: one of KINDS.

    Returns:
        Parts, the oldest first.

    Raises:
        DataDamaged: a part's record is missing or damaged; names the file.
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
    rows: pa.Table | Iterable[pa.RecordBatch],
    quarantined: pa.Table | None = None,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> Part:
    """Make a part in staging and accept it with one rename. An existing part stays as it is.

    Args:
        staging: folder on the same file system as `data`.
        data: the workspace's data folder.
        arrival: the record; counts and rows_sha256 are filled in here.
        rows: accepted rows, in the schema of the kind; batches are written as they come.
        quarantined: rows left out, in QUARANTINE_SCHEMA.
        files: further files by name, such as the report.

    Returns:
        The accepted part, as it lies on disk.

    Raises:
        ValueError: rows do not have the schema of the kind.
    """
    target = data / arrival.kind / arrival.part
    if quarantined is None:
        quarantined = QUARANTINE_SCHEMA.empty_table()
    draft = staging / arrival.part
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    n_rows = _write_rows(draft / ROWS, batches, SCHEMAS[arrival.kind])
    _write_rows(draft / QUARANTINED, quarantined.to_batches(), QUARANTINE_SCHEMA)
    counted = {"n_rows": n_rows, "n_quarantined": quarantined.num_rows}
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


def _write_rows(path: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Write rows so that the same rows give the same bytes, however they are cut into batches; returns their number."""
    n_rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6") as writer:
        for group in _row_groups(path.name, batches, schema):
            writer.write_table(group, row_group_size=GROUP_ROWS)
            n_rows += group.num_rows
        if not n_rows:
            writer.write_table(schema.empty_table())
    return n_rows


def _row_groups(name: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows in groups of GROUP_ROWS, or of fewer where they hold GROUP_BYTES, which is asked every _SLICE_ROWS."""
    held: list[pa.RecordBatch] = []
    n_rows, n_bytes = 0, 0.0
    for batch in batches:
        left = _checked(name, batch, schema)
        while left.num_rows:
            taken = left.slice(0, _SLICE_ROWS - n_rows % _SLICE_ROWS)
            left = left.slice(taken.num_rows)
            held.append(taken)
            n_rows, n_bytes = n_rows + taken.num_rows, n_bytes + sum(map(_value_bytes, taken.columns))
            if n_rows == GROUP_ROWS or (n_rows % _SLICE_ROWS == 0 and n_bytes >= GROUP_BYTES):
                yield pa.Table.from_batches(held, schema).combine_chunks()
                held, n_rows, n_bytes = [], 0, 0.0
    if held:
        yield pa.Table.from_batches(held, schema).combine_chunks()


def _value_bytes(column: pa.Array) -> float:
    """Bytes of the values alone. Those of buffers depend on how rows were cut."""
    if pa.types.is_list(column.type):
        return _value_bytes(column.flatten())
    if pa.types.is_string(column.type):
        return int(pc.sum(pc.binary_length(column)).as_py() or 0)
    return len(column) * int(column.type.bit_width) / 8


def _checked(name: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if not batch.schema.equals(schema):
        raise ValueError(f"{name} needs the columns {schema.names}, got {batch.schema}")
    return batch.replace_schema_metadata(None)


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
        raise DataDamaged(f"{folder / ARRIVAL} is missing", remedy=_RESTORE) from error


def _read(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    with _opened(path) as file:  # pq.read_table imports pandas
        return _in_schema(path, file.read(columns), schema, columns)


def _read_batches(path: Path, schema: pa.Schema, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    with _opened(path) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            yield from _in_schema(path, pa.Table.from_batches([batch]), schema, columns).to_batches()


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except (OSError, pa.ArrowException) as error:
        raise DataDamaged(f"{path} cannot be read: {error}", remedy=_RESTORE) from error


def _in_schema(path: Path, table: pa.Table, schema: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    if set(table.column_names) == set(schema.names):
        table = table.select(schema.names)  # ParquetFile.read keeps the file's order
    if not table.schema.equals(schema):
        raise DataDamaged(f"{path} has the columns {table.schema.names}, not {schema.names}", remedy=_RESTORE)
    return table


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
