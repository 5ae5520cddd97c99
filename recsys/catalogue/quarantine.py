"""Quarantined rows: count them, show them, land them again."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.batch import as_json
from recsys.catalogue.interactions import UNREADABLE
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.parts import Part, list_parts
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.schemas import PSEUDONYM, RETRY_OF, SIGNATURE
from recsys.errors import RecsysError
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Count:
    """Quarantined rows of one landed file with one reason."""

    part: str
    kind: str
    source: str
    reason: str
    n_rows: int


@dataclass(frozen=True)
class LandedAgain:
    """Rows of one part's quarantine, back in the landing zone."""

    key: str
    n_rows: int
    n_lost: int
    """Rows that were not kept completely, such as lines that are not JSON or interactions with a broken value."""


def quarantined_counts(data: Path) -> tuple[Count, ...]:
    """Rows in quarantine by part and reason, in order of acceptance; merged parts keep the ids of their files.

    Args:
        data: the workspace's data folder.

    Returns:
        One entry per landed file and reason.

    Raises:
        RecsysError: a part is damaged; names the file.
    """
    found = []
    for kind in KINDS:
        for part in list_parts(data, kind):
            sources = {record.part: record.source for record in part.arrival.landed()}
            table = part.quarantined()
            counts = Counter(zip(table["part"].to_pylist(), table["reason"].to_pylist(), strict=True))
            found += [Count(name, kind, sources[name], why, n) for (name, why), n in sorted(counts.items())]
    return tuple(sorted(found, key=lambda count: (count.part, count.reason)))


def quarantined_rows(data: Path, part: str, reason: str | None = None) -> list[dict[str, Any]]:
    """Quarantined rows of a landed file (line, reason, detail, row, part), by line.

    Args:
        data: the workspace's data folder.
        part: the id under which the file was accepted, also when it has been merged since.
        reason: only these.

    Returns:
        One dictionary per row.

    Raises:
        RecsysError: no such part.
    """
    holder, _ = _holder(data, part)
    rows: list[dict[str, Any]] = holder.quarantined().to_pylist()
    return [row for row in rows if row["part"] == part and reason in {None, row["reason"]}]


def land_again(
    landing: Storage, data: Path, part: str, reason: str | None, pseudonyms: Pseudonyms
) -> LandedAgain:
    """Write quarantined rows into the landing zone as a new file; landing them twice is harmless.

    Interactions carry their pseudonym, signed with the workspace's key. Nothing else is accepted in place of a user id.

    Args:
        landing: the landing zone.
        data: the workspace's data folder.
        part: the id under which the rows' file was accepted.
        reason: only rows with this reason; None for all.
        pseudonyms: signs.

    Returns:
        Where the rows landed, and how many.

    Raises:
        RecsysError: no such part, or none of its rows can be landed again.
        StorageError: the landing zone cannot be written.
    """
    holder, record = _holder(data, part)
    rows = quarantined_rows(data, part, reason)
    lines = list(_lines(rows, record, pseudonyms))
    if not lines:
        of_reason = f" with reason {reason}" if reason else ""
        raise RecsysError(
            f"no quarantined row of {part}{of_reason} can be landed again",
            remedy="`recsys quarantine list` shows parts and reasons; correct unreadable rows in their source",
        )
    key = f"{holder.kind}/retry-{part}{f'-{reason}' if reason else ''}.jsonl"
    landing.write(key, "".join(f"{line}\n" for line in lines).encode())
    return LandedAgain(key, len(lines), len(rows) - len(lines))


def _lines(rows: list[dict[str, Any]], record: Arrival, pseudonyms: Pseudonyms) -> Iterator[str]:
    for row in rows:
        kept = json.loads(row["row"])
        if not kept or UNREADABLE in kept:
            continue
        if KINDS[record.kind].of_people:
            kept[SIGNATURE] = pseudonyms.signature(kept[PSEUDONYM])
        # Names the quarantine it comes from: retried again from a later one, the file has other bytes.
        yield as_json(kept | {RETRY_OF: f"{row['part']}:{row['line']}"})


def _holder(data: Path, part: str) -> tuple[Part, Arrival]:
    for kind in KINDS:
        for candidate in list_parts(data, kind):
            for record in candidate.arrival.landed():
                if record.part == part:
                    return candidate, record
    remedy = "`recsys quarantine list` shows the parts that have quarantined rows"
    raise RecsysError(f"no part {part!r} has been accepted", remedy=remedy)
