"""Parts: one or several accepted files. `data/<kind>/<part>/` holds their rows, quarantine and record."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.schemas import QUARANTINE_SCHEMA, SCHEMAS
from recsys.catalogue.stored_rows import read_batches, read_groups, read_rows, write_rows
from recsys.errors import RESTORE_DATA, DataDamaged
from recsys.storage.checksums import sha256_of_file

ROWS = "rows.parquet"
QUARANTINED = "quarantined.parquet"
ARRIVAL = "arrival.json"
REPORT = "report.html"

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
        return read_rows(self.rows_path, SCHEMAS[self.kind], columns)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Accepted rows, some thousand at a time, so that texts never are in memory together.

        Args:
            columns: only these; None for all.

        Yields:
            Batches in the schema of the kind, in order.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        yield from read_batches(self.rows_path, SCHEMAS[self.kind], columns)

    def groups(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Accepted rows, a row group at a time (GROUP_ROWS, GROUP_BYTES).

        Args:
            columns: only these; None for all.

        Yields:
            Tables in the schema of the kind, in order; an empty one for a part without rows.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        yield from read_groups(self.rows_path, SCHEMAS[self.kind], columns)

    def quarantined(self) -> pa.Table:
        """Rows that were left out, with reason and source line.

        Returns:
            A table in QUARANTINE_SCHEMA.

        Raises:
            DataDamaged: the file is missing, damaged or of another schema; names it.
        """
        return read_rows(self.folder / QUARANTINED, QUARANTINE_SCHEMA)


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
    n_rows = write_rows(draft / ROWS, batches, SCHEMAS[arrival.kind])
    write_rows(draft / QUARANTINED, quarantined.to_batches(), QUARANTINE_SCHEMA)
    counted = {"n_rows": n_rows, "n_quarantined": quarantined.num_rows}
    arrival = arrival.model_copy(update=counted | {"rows_sha256": sha256_of_file(draft / ROWS)})
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
        raise DataDamaged(f"{folder / ARRIVAL} is missing", remedy=RESTORE_DATA) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
