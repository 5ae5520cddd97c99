"""Raw ids by which relations and vectors name a person, if a graph contains users."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recsys.artifacts import Artifacts
from recsys.catalogue.columns import Columns, columns_of
from recsys.catalogue.fields import plain_id
from recsys.catalogue.kinds import CATALOGUE, RELATIONS, VECTORS
from recsys.catalogue.known import newest_among
from recsys.catalogue.landing import Landed, ending, survey
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import list_parts
from recsys.catalogue.person import Person
from recsys.catalogue.pseudonyms import NamesUsers
from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile
from recsys.catalogue.row_reader import readable
from recsys.errors import BatchRefused, UnreadableFile
from recsys.storage.protocol import Storage

ENDS = {RELATIONS: ("head", "tail"), VECTORS: ("item_id",)}
"""Columns that may name a person."""


def aliases_of(
    landing: Storage, at: Artifacts, person: Person, names: NamesUsers, params: IngestParams
) -> frozenset[str]:
    """Raw ids by which accepted and waiting relations and vectors name a person.

    Args:
        landing: the landing zone. Its waiting files are read only where nobody has given the raw id.
        at: the workspace whose intake reads it.
        person: whom.
        names: makes pseudonyms.
        params: limits of reading. A file that cannot be read has no aliases; `erasure.forget_landed` names it.

    Returns:
        Ids whose pseudonym is the person's, and the raw id where it is known; never the id of an item, which is a name
        of its own.

    Raises:
        DataDamaged: a part cannot be read; names the file.
        StorageError: the landing zone is out of reach.
    """
    items = newest_among(list_parts(at.data, CATALOGUE))["item_id"].combine_chunks()
    found = {person.user_id} if person.user_id else set()
    for kind, ends in ENDS.items():
        for part in list_parts(at.data, kind):
            rows = part.rows(ends)
            ids = pc.unique(
                pa.chunked_array([chunk for name in ends for chunk in rows[name].chunks], pa.string())
            )
            found |= {one for one in ids.to_pylist() if one and names.of(one) == person.pseudonym}
    if not person.user_id:
        found |= {one for one in _named_in(landing, params) if names.of(one) == person.pseudonym}
    named = pa.array(sorted(found), pa.string())
    return frozenset(named.filter(pc.invert(pc.is_in(named, value_set=items))).to_pylist())


def waiting_files(landing: Storage) -> list[Landed]:
    """Waiting files in the landing zone that may hold a person. Files of items hold none."""
    return [landed for landed in survey(landing).landed if landed.kind != CATALOGUE]


def fetched(
    landing: Storage, key: str, kind: str, params: IngestParams, folder: Path
) -> tuple[LandedFile, Columns]:
    """A copy of a landed file, and how its columns are read.

    Args:
        landing: the landing zone.
        key: of the file.
        kind: of the file.
        params: limits of reading.
        folder: gets the copy.

    Returns:
        The file and its columns.

    Raises:
        UnreadableFile, BatchRefused: intake would not read it either.
    """
    landing.fetch(key, folder / "landed")
    limits = params.max_columns, params.max_decoded_mb
    file = LandedFile(folder / "landed", key, ending(key), *limits, params.column_names.get(kind, {}))
    columns, surveyed = columns_of(kind, params), read(file)
    columns.survey(surveyed.rows, surveyed.columns, key)
    return file, columns


def as_read(values: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A landed row with its ids as ingestion reads them, where it can."""
    ours = columns.names.renamed(dict(values))
    return readable(ours, {name: columns.identifier for name in columns.ids})


def _named_in(landing: Storage, params: IngestParams) -> Iterator[str]:
    """Every id in a column of ENDS of a waiting file."""
    for landed in (one for one in waiting_files(landing) if one.kind in ENDS):
        with tempfile.TemporaryDirectory() as folder, suppress(UnreadableFile, BatchRefused):
            file, columns = fetched(landing, landed.key, landed.kind, params, Path(folder))
            for row in read(file).rows:
                ours = as_read(row.values, columns) if row.values else {}
                yield from (
                    plain_id(str(ours[name])) for name in ENDS[landed.kind] if ours.get(name) is not None
                )
