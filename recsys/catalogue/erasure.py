"""Remove one person from the landing zone and from `data/`, including relations and vectors that name them.

Safe to repeat and to kill.

A landed file is replaced by one without the person's rows, under the same name; a file of nobody else's rows is
deleted. A part is replaced as in compaction: a new part names the old one as merged, so readers see one of the two.
Call both functions under `ingest.writing`.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.accepted import Accepted
from recsys.catalogue.aliases import ENDS, as_read, fetched, waiting_files
from recsys.catalogue.batch import as_json
from recsys.catalogue.compaction import remove_merged
from recsys.catalogue.grouping import Plan
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS, KINDS
from recsys.catalogue.landing import PROCESSED
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import (
    REPORT,
    Part,
    all_parts,
    joined_arrival,
    list_parts,
    sequence_of,
    write_part,
)
from recsys.catalogue.person import PARQUET, Person
from recsys.catalogue.pseudonyms import NamesUsers
from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import BatchRefused, UnreadableFile
from recsys.storage.checksums import sha256_of_file
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Erased:
    """What was taken out."""

    places: tuple[str, ...] = ()
    """Landed files or parts."""
    n_rows: int = 0
    unread: tuple[str, ...] = ()
    """Landed files that cannot be read, so it is unknown whose rows they hold."""


def forget_landed(
    landing: Storage, at: Artifacts, person: Person, names: NamesUsers, params: IngestParams
) -> Erased:
    """Remove a person's rows from waiting files, and from files that were ingested.

    Args:
        landing: the landing zone.
        at: the workspace whose intake reads it.
        person: whom to forget.
        names: makes pseudonyms of the files' user ids.
        params: limits of reading.

    Returns:
        What was taken out, and which files could not be read.

    Raises:
        StorageError: the landing zone is out of reach.
    """
    _finish_intake(landing, at)
    places, n_rows, unread = [], 0, []
    for key, kind in _keys(landing, at):
        try:
            n_found = _forget_in_file(landing, key, kind, person, names, params)
        except (UnreadableFile, BatchRefused):
            unread.append(key)
            continue
        if n_found:
            places.append(key)
            n_rows += n_found
    return Erased(tuple(places), n_rows, tuple(unread))


def forget_accepted(at: Artifacts, person: Person) -> Erased:
    """Remove a person's rows from accepted parts, including quarantine.

    Args:
        at: the workspace.
        person: whom to forget.

    Returns:
        Which parts were replaced, and how many rows are gone.

    Raises:
        DataDamaged: a part cannot be read; names the file.
    """
    places, n_rows = [], 0
    for part in (part for kind in KINDS if kind != CATALOGUE for part in list_parts(at.data, kind)):
        rows, quarantined = part.rows(), part.quarantined()
        if KINDS[part.kind].of_people:
            is_theirs, is_kept_back = person.rows_of(rows), person.quarantined_of(quarantined)
        else:
            is_theirs = person.is_named(rows, ENDS[part.kind])
            kept = map(json.loads, quarantined["row"].to_pylist())
            named = (person.is_named_in(row, ENDS[part.kind]) for row in kept)
            is_kept_back = np.fromiter(named, np.bool_, quarantined.num_rows)
        n_found = int(is_theirs.sum() + is_kept_back.sum())
        if n_found:
            _replace(
                at,
                part,
                person,
                rows.filter(pa.array(~is_theirs)),
                quarantined.filter(pa.array(~is_kept_back)),
            )
            places.append(part.id)
            n_rows += n_found
    remove_merged(at.data)  # also what a killed run has replaced
    return Erased(tuple(places), n_rows)


def _replace(at: Artifacts, part: Part, person: Person, rows: pa.Table, quarantined: pa.Table) -> None:
    records = [
        record.model_copy(
            update={
                "n_rows": pc.sum(pc.equal(rows["part"], record.part)).as_py() or 0,
                "n_quarantined": pc.sum(pc.equal(quarantined["part"], record.part)).as_py() or 0,
            }
        )
        for record in part.arrival.landed()
    ]
    # Whom it lacks makes the part's id another one, and cannot be read from it.
    lacks = hashlib.sha256(f"without {person.pseudonym}".encode()).hexdigest()
    arrival = joined_arrival(records, sequence_of(part.id), [part.id, lacks], merges=(part.id,))
    files = {REPORT: part.report_path.read_bytes()} if part.report_path.is_file() else {}
    write_part(at.staging, at.data, arrival, rows, quarantined, files)


def _finish_intake(landing: Storage, at: Artifacts) -> None:
    """Move away what a killed intake has accepted: once it is written again, it would count as a new file."""
    for move in Plan(at.taking).moves():
        landing.take(move.key, move.tag, move.to)
    accepted = Accepted(at.data)
    for landed in waiting_files(landing):
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "landed"
            landing.fetch(landed.key, copy)
            parts = accepted.same_arrival(landed, sha256_of_file(copy))
        for part in parts[:1]:
            landing.take(landed.key, landed.tag, f"{PROCESSED}/{part}/{landed.name}")


def _keys(landing: Storage, at: Artifacts) -> Iterator[tuple[str, str]]:
    """Files that wait, then those that were taken in, each with its kind; files of items hold nobody.

    A file of an unknown part is taken for one of interactions.
    """
    yield from ((landed.key, landed.kind) for landed in waiting_files(landing))
    kinds = {record.part: part.kind for part in all_parts(at.data) for record in part.arrival.landed()}
    for stored in landing.list(f"{PROCESSED}/"):
        kind = kinds.get(stored.key.split("/")[1], INTERACTIONS)
        if kind != CATALOGUE:
            yield stored.key, kind


def _forget_in_file(
    landing: Storage, key: str, kind: str, person: Person, names: NamesUsers, params: IngestParams
) -> int:
    """Replace a file by one without the person's rows; returns how many they were."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "without"
        file, columns = fetched(landing, key, kind, params, Path(folder))
        lines = {
            row.line
            for row in read(file).rows
            if row.values
            and (
                person.acted(row.values, names, params.max_id_chars, columns)
                if KINDS[kind].of_people
                else person.is_named_in(as_read(row.values, columns), ENDS[kind])
            )
        }
        if lines:
            n_left = _write_without(file, lines, target)
            if n_left:
                landing.write(key, target)
            else:
                landing.delete(key)
        return len(lines)


def _write_without(file: LandedFile, lines: set[int], target: Path) -> int:
    """Write a file without some rows; returns how many rows it has.

    Parquet stays parquet. Everything else becomes JSON lines, which a file may be under any name; a line that could not
    be read is left out.
    """
    with file.path.open("rb") as source:
        is_parquet = source.read(len(PARQUET)) == PARQUET
    if is_parquet:
        table = pq.read_table(file.path)
        is_kept = ~np.isin(np.arange(1, table.num_rows + 1), sorted(lines))
        pq.write_table(table.filter(pa.array(is_kept)), target, compression="zstd")
        return int(is_kept.sum())
    n_left = 0
    with target.open("w", encoding="utf-8") as written:
        for row in read(file).rows:
            if row.values and row.line not in lines:
                written.write(f"{as_json(row.values)}\n")
                n_left += 1
    return n_left
