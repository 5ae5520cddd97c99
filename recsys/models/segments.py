"""Make missing segments: the profiles that a model gives to rows of features.

Texts that are not in the cache are encoded, chunk by chunk. A head turns vectors, and the views that it joins, into
profiles, block by block. Equal content has the same profile, to the last bit.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recsys.errors import StorageError
from recsys.features.evidence import Evidence, content_hashes
from recsys.features.text import NO_TEXT, FeatureFile
from recsys.features.views import NO_VIEWS, take
from recsys.features.views_file import read_views
from recsys.models.engines import Block, Engine, LocalEngine, Projected
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.profiles.items import CONTENT_HASH, VIEW_SHARES, Segment, hash_array, same_content
from recsys.profiles.segment_draft import SegmentDraft
from recsys.progress import Progress

# Shape suffixes: N live rows of a segment, M distinct contents, D width of a profile, P parts of a head.
PROJECTED_AT_ONCE = 4096
"""Texts whose vectors are read and go through the head together: bounds memory."""
LOOKED_UP_AT_ONCE = 65_536
"""Texts that are looked for in the cache together, likewise."""
UNKNOWN_SCHEMA = pa.schema([("text_hash", pa.large_string()), ("text", pa.large_string())])
"""Large: rows that are picked from a column of other strings may not have 2 GiB in all, a million long texts."""
COLUMNS = ("item_id", "text_hash", "updated_at", "deleted", "tags", "part", "line")


@dataclass(frozen=True)
class SegmentWork:
    """Which segments exist, and which must be made."""

    role: str
    model: ModelReference
    wanted: tuple[Segment, ...]
    missing: tuple[tuple[FeatureFile, Segment], ...]
    outdated: tuple[Segment, ...]
    """Segments by the same encoder and head whose parts are merged or gone, or whose views have changed: their profiles
    are used again."""
    parts: tuple[str, ...]
    """Parts of a head that joins views, see `heads/view_shares.py`; only then are views read. Empty for others."""
    cache: VectorCache
    """Cache of the encoder's vectors."""
    local: LocalEngine
    """Computes in this process."""
    engine: Engine
    """Computes where section `profiles` says."""

    @cached_property
    def rows(self) -> dict[str, pa.Table]:
        """Segment name -> features, live rows first; with a column of content hashes where the head joins views."""
        read = {segment.name: _live_first(pq.read_table(feature.path)) for feature, segment in self.missing}
        return {name: self._with_content(rows) for name, rows in read.items()} if self.parts else read

    @cached_property
    def evidence(self) -> Evidence:
        """What the views say about the items of missing segments."""
        return read_views(feature.views_path for feature, _ in self.missing if feature.views_path)

    @property
    def hash_column(self) -> str:
        """Column whose hashes tell profiles apart."""
        return CONTENT_HASH if self.parts else "text_hash"

    def _with_content(self, rows: pa.Table) -> pa.Table:
        hashes = content_hashes(rows["text_hash"].to_pylist(), self.evidence.hashes_of(rows["item_id"]))
        return rows.append_column(CONTENT_HASH, pa.array(hashes, pa.string()))

    @cached_property
    def unknown(self) -> pa.Table:
        """Texts that must be encoded (text_hash and text), each once, in the order of the hashes."""
        found = [pa.table([[], []], UNKNOWN_SCHEMA)]
        for rows in self.rows.values():
            live = _live(rows).select(UNKNOWN_SCHEMA.names).cast(UNKNOWN_SCHEMA)
            for start in range(0, len(live), LOOKED_UP_AT_ONCE):
                some = live.slice(start, LOOKED_UP_AT_ONCE)
                some = some.filter(pc.not_equal(some["text_hash"], NO_TEXT))
                found.append(some.filter(pa.array(~self.cache.holds(some["text_hash"].to_pylist()))))
        together = pa.concat_tables(found).combine_chunks()
        _, first = np.unique(hash_array(together["text_hash"]), return_index=True)
        return together.take(pa.array(first))


def encode_unknown(work: SegmentWork, chunk_texts: int) -> None:
    """Encode chunk by chunk into the cache, so that a killed run continues after the last full chunk.

    Args:
        work: what is there and what is to do.
        chunk_texts: texts of a chunk.

    Raises:
        ClusterError: the Ray cluster of `work.engine` is gone, or a node of it computes otherwise.
    """
    hashes, texts = (_pieces(work.unknown[name], chunk_texts) for name in UNKNOWN_SCHEMA.names)
    with Progress(f"profiles@{work.role}: encoding", len(work.unknown)) as progress:
        for chunk, vectors in zip(hashes, work.engine.encode(texts, progress.advance), strict=True):
            work.cache.add(chunk, vectors)


def _pieces(column: pa.ChunkedArray, size: int) -> Iterator[list[str]]:
    for start in range(0, len(column), size):
        yield column.slice(start, size).to_pylist()


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
            yield Block(tuple(some["text"].to_pylist()), _vectors(some, work), take(views, rows))

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
    live = _live(work.rows[segment.name])
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
    live = _live(work.rows[segment.name])
    draft, (rows, waits) = SegmentDraft(segment, len(live), work.model.dim), _rows(segment, work)
    try:
        for start in range(0, len(live), PROJECTED_AT_ONCE):
            part = slice(start, start + PROJECTED_AT_ONCE)
            vectors = _vectors(live.slice(start, PROJECTED_AT_ONCE), work)
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
    live = _live(rows)
    written = rows.select([*COLUMNS, *([CONTENT_HASH] if work.parts else [])])
    if work.parts and shares_NP is not None:
        found = pa.StructArray.from_arrays([pa.array(one) for one in shares_NP.T], names=list(work.parts))
        of_deletes = pa.nulls(len(rows) - len(live), found.type)
        written = written.append_column(VIEW_SHARES, pa.chunked_array([found, of_deletes]))
    return written, _waits(live, work)


def _vectors(live: pa.Table, work: SegmentWork) -> NDArray[np.float32]:
    """Read the vectors of live rows from the cache. Damaged ones are encoded again."""
    hashes = live["text_hash"].to_pylist()
    vectors, found = _read(work.cache, hashes)
    if not found.all():
        lost = live.filter(pa.array(~found))
        texts = dict(zip(lost["text_hash"].to_pylist(), lost["text"].to_pylist(), strict=True))
        work.cache.add(list(texts), work.local.encoder.encode(list(texts.values())))
        vectors, found = _read(work.cache, hashes)
    if not found.all():
        raise StorageError(
            f"{work.cache.folder} does not give back what was written to it",
            remedy="check the disk (space, faults), then delete the folder: it is only a cache",
        )
    return vectors


def _read(cache: VectorCache, hashes: list[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read vectors by text hash, and which of them exist. An item without text has a vector of zeros."""
    vectors, found = cache.read(hashes)
    empty = np.array([one == NO_TEXT for one in hashes], np.bool_)
    vectors[empty], found[empty] = 0, True
    return vectors, found


def _waits(live: pa.Table, work: SegmentWork) -> NDArray[np.bool_]:
    """Which live rows have neither text nor a view that the head joins. They have no profile yet."""
    without = np.flatnonzero(pc.equal(live["text_hash"], NO_TEXT).to_numpy(zero_copy_only=False))
    waits = np.zeros(len(live), np.bool_)
    waits[without] = True
    if len(without) and work.parts:
        views = work.evidence.views_of(live["item_id"].take(pa.array(without)))
        waits[without] = ~work.local.head.knows(views, len(without))
    return waits


def _live_first(features: pa.Table) -> pa.Table:
    if not pc.any(features["deleted"]).as_py():
        return features
    return pa.concat_tables(
        [features.filter(pc.invert(features["deleted"])), features.filter(features["deleted"])]
    )


def _live(live_first: pa.Table) -> pa.Table:
    return live_first.slice(0, len(live_first) - (pc.sum(live_first["deleted"]).as_py() or 0))


def n_rows_with(work: SegmentWork, hashes: pa.ChunkedArray) -> int:
    """Count the live rows of the segments that were missing which have certain texts.

    Args:
        work: what was done.
        hashes: text hashes.

    Returns:
        The number of rows; a text that two items share counts twice.
    """
    found = (pc.is_in(_live(rows)["text_hash"], value_set=hashes) for rows in work.rows.values())
    return sum(pc.sum(one).as_py() or 0 for one in found)
