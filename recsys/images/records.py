"""The result for each address: a table of fetched pictures, and a journal from which a killed run continues."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.storage.atomic import write_parquet

SCHEMA = pa.schema(
    [
        ("address", pa.string()),
        ("sha256", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("tried_at", pa.timestamp("s", tz="UTC")),
    ]
)
"""By address, ascending. A picture that is there has a sha256 alone."""
TABLE = "fetched.parquet"
LIMITS = b"limits"
"""In the table's metadata: the limits for pictures. When they change, every broken picture is due at once."""
MAX_DETAIL = 500


@dataclass(frozen=True)
class Fetched:
    """What became of one address."""

    address: str
    sha256: str | None = None
    """Of the picture's bytes; None where it is broken."""
    reason: str | None = None
    """A key of `recsys.images.reasons.REMEDIES`; None where the picture is there."""
    detail: str | None = None
    """For people."""
    tried_at: int | None = None
    """When a broken picture was requested: seconds since 1970, UTC."""


@dataclass(frozen=True)
class Tried:
    """The requests of one run."""

    n: int
    n_broken: int


def is_due(record: Fetched, now: datetime, retry_h: float) -> bool:
    """Whether a broken picture is to be tried again.

    Args:
        record: what became of it last.
        now: aware.
        retry_h: hours between two tries. Pictures that were not requested are due at once.

    Returns:
        False for pictures that are there.
    """
    if record.sha256 is not None:
        return False
    if record.tried_at is None:
        return True
    return now - datetime.fromtimestamp(record.tried_at, UTC) >= timedelta(hours=retry_h)


def read_records(folder: Path, journal: Path, limits: str) -> dict[str, Fetched]:
    """Read the table, and the results that a killed run added to the journal.

    Args:
        folder: of the table. It need not exist.
        journal: of the run before.
        limits: of this run, in any form that tells them from others.

    Returns:
        Address -> record. A damaged table or a torn line costs fetches, nothing else.
    """
    return {one.address: one for one in (*_table(folder / TABLE, limits), *_journal(journal))}


def write_records(folder: Path, records: Mapping[str, Fetched], limits: str) -> None:
    """Write the table.

    Args:
        folder: where.
        records: address -> record.
        limits: as for `read_records`.
    """
    rows = [asdict(records[address]) for address in sorted(records)]
    write_parquet(folder / TABLE, pa.Table.from_pylist(rows, SCHEMA.with_metadata({LIMITS: limits})))


def append_to_journal(journal: Path, record: Fetched) -> None:
    """Add the result for one address. A kill loses at most this line.

    Args:
        journal: the file; made where it is missing.
        record: the address and its result.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    with journal.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(asdict(record)))  # the line end first: a torn line before it stays alone


def _table(path: Path, limits: str) -> list[Fetched]:
    try:
        table = pq.read_table(path, schema=SCHEMA)
        is_of_now = pq.read_schema(path).metadata.get(LIMITS) == limits.encode()
    except (OSError, pa.ArrowException):
        return []
    place = SCHEMA.get_field_index("tried_at")
    rows = table.set_column(place, "tried_at", table["tried_at"].cast(pa.int64())).to_pylist()
    found = [Fetched(**row) for row in rows]
    return found if is_of_now else [replace(one, tried_at=None) for one in found]


def _journal(journal: Path) -> list[Fetched]:
    found = []
    try:
        lines = journal.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            found.append(Fetched(**json.loads(line)))
        except (ValueError, TypeError):  # torn by a kill
            continue
    return found
