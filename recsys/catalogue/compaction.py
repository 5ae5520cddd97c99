"""Merge many parts of one kind into one, off the fast path. Every row keeps the part and line it came from.

Order of writes: the merged part is accepted like any other (one rename), and from then on the parts it names are
ignored; `remove_merged` deletes them, arrival.json last. Killed at any point, the same calls end in the same bytes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.catalogue.kinds import CATALOGUE, KINDS
from recsys.catalogue.known import COLUMNS, newest_places
from recsys.catalogue.parts import (
    ARRIVAL,
    Part,
    all_parts,
    joined_arrival,
    list_parts,
    sequence_of,
    write_part,
)


def merge_parts(parts: Sequence[Part], data: Path, staging: Path) -> Part:
    """Merge parts that follow each other into one.

    Of a kind with a key only the newest row of each key (such as an item) is kept, also if it is a delete: an older row
    may still arrive and must stay hidden. Interactions and quarantined rows are all kept.
    Call it under `ingest.writing`, then `remove_merged`.

    Args:
        parts: at least two of one kind, a run of `list_parts` in its order.
        data: the workspace's data folder.
        staging: folder on the same file system.

    Returns:
        The merged part; its id is `<sequence of the last>-m<8 hex of the merged ids>`.

    Raises:
        ValueError: the parts do not follow each other in `list_parts`: merging them would change which row is newest.
        RecsysError: a part is damaged; names the file.
    """
    ids = [part.id for part in parts]
    kind = parts[0].kind if parts else CATALOGUE
    existing = [part.id for part in list_parts(data, kind)]
    start = existing.index(ids[0]) if ids and ids[0] in existing else 0
    if len(ids) < 2 or existing[start : start + len(ids)] != ids:
        raise ValueError(f"{ids} is no run of two or more parts of {kind} in {data}")
    quarantined = pa.concat_tables([part.quarantined() for part in parts])
    landed = [record for part in parts for record in part.arrival.landed()]
    arrival = joined_arrival(landed, sequence_of(ids[-1]), ids, merges=tuple(ids))
    return write_part(staging, data, arrival, _rows(parts, kind), quarantined)


def _rows(parts: Sequence[Part], kind: str) -> Iterator[pa.RecordBatch]:
    """The rows of the merged part, some thousand at a time: of a kind with a key the newest of each."""
    if not KINDS[kind].key:
        for part in parts:
            yield from part.batches()
        return
    deciding = [*KINDS[kind].key, *COLUMNS[1:]]
    places = newest_places(pa.concat_tables([part.rows(deciding) for part in parts]), kind)
    if (np.diff(places) < 0).any():  # some part is not in the order of its lines
        yield from pa.concat_tables([part.rows() for part in parts]).take(pa.array(places)).to_batches()
        return
    start = 0
    for part in parts:
        for batch in part.batches():
            first, last = np.searchsorted(places, (start, start + len(batch)))
            yield batch.take(pa.array(places[first:last] - start))
            start += len(batch)


def compact_above(data: Path, staging: Path, max_parts: int) -> list[Part]:
    """Merge each kind that has more parts; delete merged ones, also those that a killed run left behind.

    Call it under `ingest.writing`.

    Args:
        data: the workspace's data folder.
        staging: folder on the same file system.
        max_parts: of each kind that may stay.

    Returns:
        The merged parts.

    Raises:
        RecsysError: a part is damaged; names the file.
    """
    runs = [list_parts(data, kind) for kind in KINDS]
    merged = [merge_parts(run, data, staging) for run in runs if len(run) > max_parts]
    remove_merged(data)
    return merged


def remove_merged(data: Path) -> tuple[str, ...]:
    """Delete parts that another part has merged; returns their ids.

    Args:
        data: the workspace's data folder.

    Returns:
        Ids of the parts that were deleted, oldest first.

    Raises:
        RecsysError: a part's record is damaged; names the file.
    """
    parts = all_parts(data)
    merged = {(part.kind, name) for part in parts for name in part.arrival.merges}
    # Oldest first: a merged part that has been merged again goes after the parts that only it names.
    gone = [part for part in parts if (part.kind, part.id) in merged]
    for part in gone:
        for path in sorted(part.folder.iterdir(), key=lambda path: path.name == ARRIVAL):
            path.unlink()
        part.folder.rmdir()
    for kind in KINDS:
        for folder in (data / kind).glob("*-*"):
            if folder.is_dir() and not any(folder.iterdir()):  # emptied by a run that was killed
                folder.rmdir()
    return tuple(part.id for part in gone)
