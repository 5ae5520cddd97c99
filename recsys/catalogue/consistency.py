"""Checks of all parts together (nothing damaged, nothing twice), and a description of all accepted data."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.catalogue.arrival import write_json
from recsys.catalogue.interaction_counts import InteractionCounts, count_interactions
from recsys.catalogue.kinds import CATALOGUE, IMPRESSIONS, INTERACTIONS, KINDS, RELATIONS, VECTORS
from recsys.catalogue.known import COLUMNS, newest_among, newest_rows
from recsys.catalogue.parts import ARRIVAL, PART_ID, Part, list_parts, sequence_of
from recsys.catalogue.schemas import SCHEMAS
from recsys.errors import RESTORE_DATA, RecsysError
from recsys.storage.checksums import sha256_of_file


class KnownHashes:
    """SHA-256 of files by size, time and inode, so that unchanged files are not read again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._before: dict[str, list[Any]] = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            self._before = {}
        self._now: dict[str, list[Any]] = {}

    def of(self, path: Path) -> str:
        """The file's SHA-256, in hex."""
        stat = path.stat()
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        known = self._before.get(str(path))
        digest = known[-1] if known and known[:-1] == stamp else sha256_of_file(path)
        self._now[str(path)] = [*stamp, digest]
        return str(digest)

    def save(self) -> None:
        """Save the hashes of the files that were checked; drop all others."""
        if self._now != self._before:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._now)


def check_parts(data: Path, hashes: KnownHashes) -> dict[str, tuple[Part, ...]]:
    """Every unmerged part by kind, checked.

    Args:
        data: the workspace's data folder.
        hashes: what was read before.

    Returns:
        Kind -> parts in order.

    Raises:
        RecsysError: a part is damaged, or two parts have the same place in the order; names them.
    """
    for kind in KINDS:
        _check_folders(data / kind)
    parts = {kind: list_parts(data, kind) for kind in KINDS}
    place: dict[int, Part] = {}
    for part in (part for of_kind in parts.values() for part in of_kind):
        other = place.setdefault(sequence_of(part.id), part)
        if other is not part:
            raise RecsysError(
                f"parts {other.folder} and {part.folder} have the same sequence number", remedy=RESTORE_DATA
            )
        _check_part(part, hashes)
    return parts


def _check_folders(folder: Path) -> None:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not path.is_dir() or not PART_ID.fullmatch(path.name):
            raise RecsysError(
                f"{path} is no part", remedy="only `ingest` and `compact` write to data/; move it away"
            )
        if any(path.iterdir()) and not (path / ARRIVAL).is_file():
            raise RecsysError(f"{path / ARRIVAL} is missing", remedy=RESTORE_DATA)


def _check_part(part: Part, hashes: KnownHashes) -> None:
    arrival = part.arrival
    if (arrival.part, arrival.kind) != (part.id, part.kind):
        raise RecsysError(
            f"part {part.id}: its record is that of {arrival.kind}/{arrival.part}", remedy=RESTORE_DATA
        )
    try:
        footer = pq.read_metadata(part.rows_path)
        digest = hashes.of(part.rows_path)
    except (OSError, pa.ArrowException) as error:
        raise RecsysError(
            f"part {part.id}: {part.rows_path} cannot be read: {error}", remedy=RESTORE_DATA
        ) from error
    if digest != arrival.rows_sha256:
        raise RecsysError(
            f"part {part.id}: {part.rows_path} is not the file that was accepted", remedy=RESTORE_DATA
        )
    if footer.num_rows != arrival.n_rows or not footer.schema.to_arrow_schema().equals(SCHEMAS[part.kind]):
        raise RecsysError(
            f"part {part.id}: {part.rows_path} has other rows than its record", remedy=RESTORE_DATA
        )


def describe(parts: dict[str, tuple[Part, ...]], kept: Path | None = None) -> dict[str, Any]:
    """All accepted data in numbers: per part, per kind, live items, items of interactions, languages.

    Args:
        parts: every unmerged part by kind.
        kept: folder of what was counted before, by kind; None: nothing was, nor is it kept.

    Returns:
        What stage `validate` writes down.

    Raises:
        RecsysError: a part's rows cannot be read; names the file.
    """
    newest = newest_rows(_columns(parts[CATALOGUE], COLUMNS))
    live = newest.filter(pc.invert(newest["deleted"]))["item_id"].combine_chunks()
    return {
        "parts": [_of_part(part) for kind in KINDS for part in parts[kind]],
        "items": {"live": len(live), "deleted": newest.num_rows - len(live)},
        "interactions": _interactions(parts[INTERACTIONS], live, kept and kept / f"{INTERACTIONS}.state"),
        **{kind: _standing(parts[kind], kind) for kind in (RELATIONS, VECTORS) if parts[kind]},
        **_impressions(parts[IMPRESSIONS], live, kept and kept / f"{IMPRESSIONS}.state"),
        "languages": _languages(parts[CATALOGUE]),
        "quarantined": _reasons(parts),
    }


def _columns(parts: Sequence[Part], names: Sequence[str]) -> pa.Table:
    return pa.concat_tables([part.rows(names) for part in parts])


def _of_part(part: Part) -> dict[str, Any]:
    arrival = part.arrival
    by = arrival.accepted_by
    return {
        "part": part.id,
        "kind": part.kind,
        "source": arrival.source,
        "n_rows": arrival.n_rows,
        "n_quarantined": arrival.n_quarantined,
        "rows_sha256": arrival.rows_sha256,
        "landed_files": len(arrival.landed()),
        "accepted_by": by.model_dump() if by else None,
    }


def _interactions(parts: Sequence[Part], live: pa.Array, kept: Path | None) -> dict[str, int]:
    before = InteractionCounts.load(kept) if kept else InteractionCounts()
    counts = count_interactions(before, parts)
    if kept and counts is not before:
        counts.save(kept)
    return counts.report(live)


def _impressions(parts: Sequence[Part], live: pa.Array, kept: Path | None) -> dict[str, Any]:
    """Impressions in numbers, as interactions; nothing where none have landed, so that older records stay the same."""
    return {IMPRESSIONS: _interactions(parts, live, kept)} if parts else {}


def _standing(parts: Sequence[Part], kind: str) -> dict[str, int]:
    newest = newest_among(parts, kind=kind)
    n_deleted = pc.sum(newest["deleted"]).as_py() or 0
    return {"live": newest.num_rows - n_deleted, "deleted": n_deleted}


def _languages(parts: Sequence[Part]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for record in (record for part in parts for record in part.arrival.landed()):
        counts.update(record.statistics.languages)
    return dict(sorted(counts.items()))


def _reasons(parts: dict[str, tuple[Part, ...]]) -> dict[str, int]:
    def found() -> Iterator[str]:
        for part in (part for kind in KINDS for part in parts[kind] if part.arrival.n_quarantined):
            yield from part.quarantined()["reason"].to_pylist()

    return dict(sorted(Counter(found()).items()))
