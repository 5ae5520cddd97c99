"""Which segments are missing, what they hold, and the vectors of their texts.

Texts that are not in the cache are encoded, chunk by chunk.
"""

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
from recsys.features.views_file import read_views
from recsys.models.encoding import read_vectors
from recsys.models.engines import Engine, LocalEngine
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.profiles.items import CONTENT_HASH, Segment, hash_array
from recsys.progress import Progress

# Shape suffixes: N live rows of a segment.
LOOKED_UP_AT_ONCE = 65_536
"""Texts that are looked for in the cache together: bounds memory."""
UNKNOWN_SCHEMA = pa.schema([("text_hash", pa.large_string()), ("text", pa.large_string())])
"""Large: rows that are picked from a column of other strings may not have 2 GiB in all, a million long texts."""


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
        read = {segment.name: live_first(pq.read_table(feature.path)) for feature, segment in self.missing}
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
            live = live_of(rows).select(UNKNOWN_SCHEMA.names).cast(UNKNOWN_SCHEMA)
            for start in range(0, len(live), LOOKED_UP_AT_ONCE):
                some = live.slice(start, LOOKED_UP_AT_ONCE)
                some = some.filter(pc.not_equal(some["text_hash"], NO_TEXT))
                found.append(some.filter(pa.array(~self.cache.holds(some["text_hash"].to_pylist()))))
        together = pa.concat_tables(found).combine_chunks()
        _, first = np.unique(hash_array(together["text_hash"]), return_index=True)
        return together.take(pa.array(first))

    def vectors_of(self, live: pa.Table) -> NDArray[np.float32]:
        """Read vectors of live rows from the cache. Damaged ones are encoded again; an item without text has zeros.

        Args:
            live: rows with columns text_hash and text.

        Returns:
            [N, width of the encoder].

        Raises:
            StorageError: the cache does not give back what was written to it.
        """
        hashes = live["text_hash"].to_pylist()
        vectors, found = read_vectors(self.cache, hashes)
        if not found.all():
            lost = live.filter(pa.array(~found))
            texts = dict(zip(lost["text_hash"].to_pylist(), lost["text"].to_pylist(), strict=True))
            self.cache.add(list(texts), self.local.encoder.encode(list(texts.values())))
            vectors, found = read_vectors(self.cache, hashes)
        if not found.all():
            raise StorageError(
                f"{self.cache.folder} does not give back what was written to it",
                remedy="check the disk (space, faults), then delete the folder: it is only a cache",
            )
        return vectors


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


def live_first(features: pa.Table) -> pa.Table:
    """Rows of features: those of items, then deletes."""
    if not pc.any(features["deleted"]).as_py():
        return features
    return pa.concat_tables(
        [features.filter(pc.invert(features["deleted"])), features.filter(features["deleted"])]
    )


def live_of(rows: pa.Table) -> pa.Table:
    """The rows of `live_first` without deletes."""
    return rows.slice(0, len(rows) - (pc.sum(rows["deleted"]).as_py() or 0))


def n_rows_with(work: SegmentWork, hashes: pa.ChunkedArray) -> int:
    """Count the live rows of the segments that were missing which have certain texts.

    Args:
        work: what was done.
        hashes: text hashes.

    Returns:
        The number of rows; a text that two items share counts twice.
    """
    found = (pc.is_in(live_of(rows)["text_hash"], value_set=hashes) for rows in work.rows.values())
    return sum(pc.sum(one).as_py() or 0 for one in found)
