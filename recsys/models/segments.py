"""Make missing segments: the profiles that a model gives to rows of features.

A head turns vectors, and the views that it joins, into profiles, block by block. Equal content has the same profile, to
the last bit.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.features.text import NO_TEXT
from recsys.features.views import NO_VIEWS, take
from recsys.models.engines import Block, Projected
from recsys.models.segment_work import UNKNOWN_SCHEMA, SegmentWork, live_of
from recsys.profiles.items import CONTENT_HASH, VIEW_SHARES, Segment, hash_array, same_content
from recsys.profiles.segment_draft import SegmentDraft
from recsys.progress import Progress

# Shape suffixes: N live rows of a segment, M distinct contents, D width of a profile, P parts of a head.
PROJECTED_AT_ONCE = 4096
"""Texts whose vectors are read and go through the head together: bounds memory."""
COLUMNS = ("item_id", "text_hash", "updated_at", "deleted", "tags", "part", "line")


@dataclass
class _Making:
    """A segment whose profiles a head makes. Equal content has the same profile, to the last bit."""

    draft: SegmentDraft
    live: pa.Table
    shares_MP: NDArray[np.float32]
    """How much each part of the head counts in the profiles of each content that the rows have."""
    row_M: NDArray[np.int64]
    """The first live row of each content; its profile is written there."""
    place_N: NDArray[np.int64]
    """Content of each live row."""
    to_make: NDArray[np.int64]
    """Contents that the head makes profiles of; those of outdated segments are there from the beginning."""
    n_made: int = 0

    def is_full(self) -> bool:
        """Whether every content has its profile."""
        return self.n_made == len(self.to_make)

    def blocks(self, work: SegmentWork) -> Iterator[Block]:
        """The inputs of the head, in order. Vectors are read block by block."""
        columns = pa.schema([("item_id", pa.string()), *UNKNOWN_SCHEMA])
        items = self.live.select(columns.names).cast(columns).take(pa.array(self.row_M[self.to_make]))
        views = work.evidence.views_of(items["item_id"]) if work.parts else NO_VIEWS
        for start in range(0, len(items), PROJECTED_AT_ONCE):
            some = items.slice(start, PROJECTED_AT_ONCE)
            rows = np.arange(start, start + len(some))
            yield Block(tuple(some["text"].to_pylist()), work.vectors_of(some), take(views, rows))

    def fill(self, made: Projected) -> None:
        """Take in the profiles of the next block."""
        rows = self.to_make[self.n_made : self.n_made + len(made.profiles_ND)]
        self.draft.write(self.row_M[rows], made.profiles_ND)
        self.shares_MP[rows] = made.shares_NP
        self.n_made += len(rows)


def make_missing(work: SegmentWork) -> int:
    """Write the segments that are missing.

    Args:
        work: what is there and what is to do; every text is encoded.

    Returns:
        How many profiles the head made; those of a model without a head are the encoder's vectors.

    Raises:
        StorageError: the cache does not give back what was written to it.
    """
    missing = [segment for segment in work.wanted if segment.name in work.rows]
    if work.model.head is None:
        for segment in missing:
            _write_vectors(segment, work)
        return 0
    making: deque[_Making] = deque()

    def blocks() -> Iterator[Block]:
        for segment in missing:
            making.append(_begun(segment, work))
            yield from making[-1].blocks(work)

    n_made = 0
    try:
        with Progress(f"profiles@{work.role}: projecting", sum(map(len, work.rows.values()))) as progress:
            for made in work.engine.project(blocks()):
                while making[0].is_full():  # nothing was to be made for it
                    _finish(making.popleft(), work)
                making[0].fill(made)
                n_made += len(made.profiles_ND)
                progress.advance(len(made.profiles_ND))
                if making[0].is_full():
                    _finish(making.popleft(), work)
            while making:
                _finish(making.popleft(), work)
    finally:
        for begun in making:
            begun.draft.discard()
    return n_made


def _begun(segment: Segment, work: SegmentWork) -> _Making:
    live = live_of(work.rows[segment.name])
    hashes, column = hash_array(live[work.hash_column]), work.hash_column
    distinct, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    draft = SegmentDraft(segment, len(live), work.model.dim)
    shares = np.empty((len(distinct), len(work.parts)), np.float32)
    is_there = np.zeros(len(distinct), np.bool_)
    for outdated, places, theirs in same_content(work.outdated, distinct, column):
        vectors = outdated.vectors()
        for start in range(0, len(places), PROJECTED_AT_ONCE):
            part = slice(start, start + PROJECTED_AT_ONCE)
            draft.write(first[places[part]], vectors[theirs[part]])
        if work.parts:
            shares[places] = np.stack([one.to_numpy()[theirs] for one in outdated.shares().columns], axis=1)
        is_there[places] = True
    return _Making(draft, live, shares, first, place, np.flatnonzero(~is_there))


def _finish(made: _Making, work: SegmentWork) -> None:
    repeats = np.flatnonzero(made.row_M[made.place_N] != np.arange(len(made.place_N)))
    made.draft.copy(repeats, made.row_M[made.place_N[repeats]])
    made.draft.finish(*_rows(made.draft.segment, work, made.shares_MP[made.place_N]))


def _write_vectors(segment: Segment, work: SegmentWork) -> None:
    """A segment of a model without a head: the encoder's vectors are the profiles."""
    live = live_of(work.rows[segment.name])
    draft, (rows, waits) = SegmentDraft(segment, len(live), work.model.dim), _rows(segment, work)
    try:
        for start in range(0, len(live), PROJECTED_AT_ONCE):
            part = slice(start, start + PROJECTED_AT_ONCE)
            vectors = work.vectors_of(live.slice(start, PROJECTED_AT_ONCE))
            vectors[waits[part], 0] = 1  # never read; an index takes unit vectors alone
            draft.write(part, vectors)
    except BaseException:
        draft.discard()
        raise
    draft.finish(rows, waits)


def _rows(
    segment: Segment, work: SegmentWork, shares_NP: NDArray[np.float32] | None = None
) -> tuple[pa.Table, NDArray[np.bool_]]:
    """A segment's rows, and which live rows have no profile yet."""
    rows = work.rows[segment.name]
    live = live_of(rows)
    written = rows.select([*COLUMNS, *([CONTENT_HASH] if work.parts else [])])
    if work.parts and shares_NP is not None:
        found = pa.StructArray.from_arrays([pa.array(one) for one in shares_NP.T], names=list(work.parts))
        of_deletes = pa.nulls(len(rows) - len(live), found.type)
        written = written.append_column(VIEW_SHARES, pa.chunked_array([found, of_deletes]))
    return written, _waits(live, work)


def _waits(live: pa.Table, work: SegmentWork) -> NDArray[np.bool_]:
    """Which live rows have neither text nor a view that the head joins. They have no profile yet."""
    without = np.flatnonzero(pc.equal(live["text_hash"], NO_TEXT).to_numpy(zero_copy_only=False))
    waits = np.zeros(len(live), np.bool_)
    waits[without] = True
    if len(without) and work.parts:
        views = work.evidence.views_of(live["item_id"].take(pa.array(without)))
        waits[without] = ~work.local.head.knows(views, len(without))
    return waits
