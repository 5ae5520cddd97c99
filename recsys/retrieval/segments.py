"""Search over many segments: exact in small ones, by an index in large ones.

`Latest` gives the newest row of each item; deleted items are not in it. An index is queried for more rows than needed,
and rows that are not allowed are dropped. Where too few remain, or few are allowed, all allowed rows are compared. So a
list is never short while there are items left. What an index finds is scored again with the segment's own vectors.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import starmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.items import Latest
from recsys.retrieval.coarseness import COPIES
from recsys.retrieval.in_place import best_places, row_by_row
from recsys.retrieval.index_file import IndexFile
from recsys.retrieval.ordering import ordered
from recsys.retrieval.row_file import RowFile
from recsys.retrieval.sign_graph import ScoresOf

# Shape suffixes: Q queries, K list length, D dimension, N vectors of one segment, I live items, L live rows of one
# segment, B rows of a block.
PAD = -1
RARE_SHARE = 0.5
"""Where at least this share of a segment is allowed, its index is always used."""
FEW_ROWS = 1024
"""Up to this many allowed rows are read and compared exactly."""
MOST_READ = 4096
"""Rows that are read one by one; more are mapped, which is faster."""
WIDENING = 4
"""Factor on the rows that an index is queried for, where it found too few that are allowed."""
MAX_REACH = 4096
"""A search that would need more rows of an index compares all allowed ones, such as for a user with more than about
2,700 likes, none of which may be in the list. That finds all; a longer walk through the graph missed a tenth of the
list where the likes were just the nearest items."""


@dataclass(frozen=True)
class IndexedSegment:
    """One segment, ready for search."""

    vectors: NDArray[np.float32]
    """[N, D]; may be memory-mapped."""
    index: Path | None = None
    """A file made by `build_index`, or None for exact search."""
    file: Path | None = None
    """The npy file that `vectors` is mapped from. If it is given, single rows are read rather than mapped, see
    `row_file.py`."""


@dataclass(frozen=True)
class Found:
    """The best items of each query."""

    rows_QK: NDArray[np.int64]
    """Positions in `Latest.item_ids`, best first; PAD where there are fewer items."""
    scores_QK: NDArray[np.float64]
    """Inner products; -inf where there is PAD."""


class SegmentSearcher:
    """Inner-product search over the live items of many segments.

    Args:
        segments: what is searched.
        latest: which of their rows are live.
        search_width: rows of a graph that a search keeps in view, where its file says fewer.
    """

    def __init__(self, segments: Sequence[IndexedSegment], latest: Latest, search_width: int = 0) -> None:
        self.segments = tuple(segments)
        self.latest = latest
        self.search_width = search_width
        self._bounds = latest.bounds(len(self.segments))

    def search(
        self,
        queries_QD: NDArray[np.floating],
        k: int,
        exclude: Sequence[Collection[int]] | None = None,
        allowed_I: NDArray[np.bool_] | None = None,
        viewed: int = 0,
        sure: int = 0,
        is_filtered: bool = True,
    ) -> Found:
        """Find the k best items for every query; of equal scores the smaller item id wins.

        Args:
            queries_QD: one vector per query.
            k: length of the lists, at least 1.
            exclude: for each query, items (positions in `Latest.item_ids`) that must not be found.
            allowed_I: mask of items that may be found; None: all.
            viewed: rows of a graph to keep in view; 0: `search_width`, or as many as its file says where that is more.
            sure: places that must hold the best items as surely as any; those after them may hold somewhat worse ones,
                which costs less; 0: all k.
            is_filtered: `allowed_I` may leave nothing near a query. False: it only leaves out what is compared
                elsewhere, so true scores need not say what others must reach, which reads hundreds of vectors.

        Returns:
            Lists of k places, padded where there are fewer items.

        Raises:
            ValueError: k, the dimension or a length does not fit.
        """
        queries = np.ascontiguousarray(queries_QD, dtype=np.float32)
        self._check(queries, k, exclude, allowed_I)
        excluded = [np.fromiter(one, np.int64, len(one)) for one in exclude or [()] * len(queries)]
        parts = [
            self.best_of_segment(position, queries, k, excluded, allowed_I, viewed, sure, is_filtered)
            for position in self.live_segments
        ]
        rows_QK = np.full((len(queries), k), PAD, np.int64)
        scores_QK = np.full((len(queries), k), -np.inf)
        for q, query in enumerate(queries):
            items = np.concatenate([part[q] for part in parts]) if parts else np.empty(0, np.int64)
            scores = self.scores(query, items)
            order = ordered(self.latest.item_ids, items, scores, k)
            rows_QK[q, : len(order)] = items[order]
            scores_QK[q, : len(order)] = scores[order]
        return Found(rows_QK, scores_QK)

    def look_ahead(self, queries_QD: NDArray[np.float32]) -> None:
        """Prepare for searches that follow, one query after another; it changes nothing but their time.

        Args:
            queries_QD: one vector per query.
        """
        for position in self.live_segments:
            if (index := self.index_of(position)) is not None:
                index.look_ahead(queries_QD)

    @property
    def widest(self) -> int:
        """The most rows that a file lets a search keep in view; 0 where no segment has a graph."""
        return max((index.search_width for index in self._indexes.values()), default=0)

    @cached_property
    def live_segments(self) -> list[int]:
        """Positions of the segments that have live items."""
        found: list[int] = np.flatnonzero(np.diff(self._bounds)).tolist()
        return found

    def items_of_segment(self, position: int) -> range:
        """Positions of a segment's live items in `Latest.item_ids`."""
        return range(int(self._bounds[position]), int(self._bounds[position + 1]))

    def index_of(self, position: int) -> IndexFile | None:
        """The index of a segment; None where it has none."""
        return self._indexes.get(position)

    def vectors_of(self, items: NDArray[np.int64]) -> NDArray[np.float32]:
        """Gather vectors of items (positions in `Latest.item_ids`), [len(items), D]; there must be a segment."""
        segment_of, rows = self.latest.segment_of_item[items], self.latest.row_of_item[items]
        if len(items) and (segment_of == segment_of[0]).all():
            return np.asarray(self._read(int(segment_of[0]), rows))
        gathered = np.empty((len(items), self.segments[0].vectors.shape[1]), np.float32)
        for position in np.unique(segment_of).tolist():
            mine = segment_of == position
            gathered[mine] = self._read(position, rows[mine])
        return gathered

    def scores(self, query_D: NDArray[np.float32], items: NDArray[np.int64]) -> NDArray[np.float64]:
        """Inner products as `row_by_row` gives them, [len(items)]."""
        return row_by_row(self.vectors_of(items), query_D) if len(items) else np.empty(0)

    def _check(
        self,
        queries: NDArray[np.float32],
        k: int,
        exclude: Sequence[Collection[int]] | None,
        allowed_I: NDArray[np.bool_] | None,
    ) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        dims = {segment.vectors.shape[1] for segment in self.segments}
        if queries.ndim != 2 or (dims and dims != {queries.shape[1]}):
            raise ValueError(f"queries must be [Q, {sorted(dims)}], got {list(queries.shape)}")
        if exclude is not None and len(exclude) != len(queries):
            raise ValueError(f"exclude needs one entry per query, got {len(exclude)} for {len(queries)}")
        if allowed_I is not None and len(allowed_I) != len(self.latest.item_ids):
            raise ValueError(f"allowed needs one entry per item, got {len(allowed_I)}")

    def best_of_segment(
        self,
        position: int,
        queries: NDArray[np.float32],
        k: int,
        excluded: Sequence[NDArray[np.int64]],
        allowed_I: NDArray[np.bool_] | None = None,
        viewed: int = 0,
        sure: int = 0,
        is_filtered: bool = True,
    ) -> list[NDArray[np.int64]]:
        """For each query, at least the k best live items of one segment, as positions in `Latest.item_ids`.

        Excluded items are taken out as soon as the index names them: their exact scores would be read for nothing.

        Args:
            position: of the segment.
            queries: one vector per query.
            k: length of the lists.
            excluded: for each query, items that must not be found.
            allowed_I: mask of items that may be found; None: all.
            viewed: as in `search`.
            sure: likewise.
            is_filtered: likewise.

        Returns:
            Items of each query, unordered; fewer where the segment has no more.
        """
        width = k + max(map(len, excluded), default=0)
        start, end = self._bounds[position : position + 2]
        is_allowed_L = None if allowed_I is None else allowed_I[start:end]
        n_allowed = int(end - start) if is_allowed_L is None else int(np.count_nonzero(is_allowed_L))
        segment = self.segments[position]
        share = n_allowed / len(segment.vectors)
        if segment.index is None or n_allowed <= max(width, FEW_ROWS if share < RARE_SHARE else 0):
            inside = max((int(((rows >= start) & (rows < end)).sum()) for rows in excluded), default=0)
            return list(map(_without, self._compared(position, queries, k + inside, is_allowed_L), excluded))
        index = self._indexes[position]
        viewed = viewed or max(index.search_width, self.search_width)
        # A margin is in it, since allowed rows may be unevenly distributed.
        sure = min(sure or k, k)
        needed = max(index.coarseness.n_viewed(sure, width - k, share), COPIES.n_viewed(k, width - k, share))
        reach = max(needed, index.coarseness.n_needed(viewed, sure))
        best: list[NDArray[np.int64]] = [np.empty(0, np.int64)] * len(queries)
        compared: dict[int, NDArray[np.int64]] = {}
        scores_of: dict[int, ScoresOf] = {}
        """Of queries for which a filter may have left nothing near."""
        short = np.arange(len(queries))
        # Allowed items may be far from the nearest ones; then it looks further, and at last at all that are allowed.
        while len(short) and reach <= MAX_REACH and index.coarseness.walks(n_allowed, share, reach):
            for q, rows_R in zip(short.tolist(), index.search(queries[short], reach, reach), strict=True):
                best[q] = _without(self.live_items(position, rows_R, is_allowed_L), excluded[q])
            short = short[[len(best[q]) < k for q in short.tolist()]]
            reach *= WIDENING
        if len(short):
            unfiltered = max(
                index.coarseness.n_viewed(sure, width - k), COPIES.n_viewed(k, width - k), viewed
            )
            is_filtered = is_filtered and is_allowed_L is not None
            wide = unfiltered if is_filtered else index.coarseness.n_listed(n_allowed, unfiltered)
            if is_allowed_L is not None:
                scores_of = {q: partial(self._scores_of_rows, position, queries[q]) for q in short.tolist()}
            rows_N = self._allowed_rows(position, is_allowed_L)
            truly = [*scores_of.values()] if is_filtered else []
            scanned = index.scan(queries[short], sure + width - k, wide, rows_N, truly)
            for q, one in zip(short.tolist(), scanned, strict=True):
                if one.is_clear:
                    best[q] = _without(self.live_items(position, one.rows_R), excluded[q])
                else:
                    rows_R = self._best_rows(position, np.sort(one.rows_R), queries[q], width)
                    compared[q] = _without(self.live_items(position, rows_R), excluded[q])

        def shortlisted(q: int, items: NDArray[np.int64]) -> NDArray[np.int64]:
            if q in compared:
                return compared[q]
            rows_R = self.latest.row_of_item[items]
            return items[index.shortlist(queries[q], rows_R, k, sure, scores_of.get(q))]

        return list(starmap(shortlisted, enumerate(best)))

    def _scores_of_rows(
        self, position: int, query_D: NDArray[np.float32], rows_R: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        return row_by_row(self._read(position, rows_R), query_D)

    def _compared(
        self, position: int, queries: NDArray[np.float32], width: int, is_allowed_L: NDArray[np.bool_] | None
    ) -> list[NDArray[np.int64]]:
        """The same as `best_of_segment`, by comparing all allowed rows exactly."""
        start, end = self._bounds[position : position + 2]
        allowed = np.arange(end - start) if is_allowed_L is None else np.flatnonzero(is_allowed_L)
        rows, segment = self.latest.row_of_item[start:end][allowed], self.segments[position]
        if segment.index is None:
            found = best_places(segment.vectors, rows, queries, width)
        else:
            found = best_places(self._read(position, rows), np.arange(len(rows)), queries, width)
        return [start + allowed[places] for places in found]

    def _best_rows(
        self, position: int, rows_R: NDArray[np.int64], query_D: NDArray[np.float32], width: int
    ) -> NDArray[np.int64]:
        """Of some rows of a segment, ascending, the `width` best and all that equal the last, by their vectors."""
        if len(rows_R) > MOST_READ:
            (places,) = best_places(self.segments[position].vectors, rows_R, query_D[None], width)
        else:
            vectors_RD = self._read(position, rows_R)
            (places,) = best_places(vectors_RD, np.arange(len(rows_R)), query_D[None], width)
        return rows_R[places]

    def live_items(
        self, position: int, rows_R: NDArray[np.int64], is_allowed_L: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """Items of a segment's rows, in their order, without rows that are superseded or not allowed.

        Args:
            position: of the segment.
            rows_R: its rows, PAD among them.
            is_allowed_L: mask of its live items that are allowed; None: all.

        Returns:
            Positions in `Latest.item_ids`.
        """
        start, end = self._bounds[position : position + 2]
        places = rows_R[rows_R != PAD]
        if end - start < len(self.segments[position].vectors):  # else each row is its own place
            live_L, rows = self.latest.row_of_item[start:end], places
            places = np.minimum(np.searchsorted(live_L, rows), end - start - 1)
            places = places[live_L[places] == rows]
        if is_allowed_L is not None:
            places = places[is_allowed_L[places]]
        items: NDArray[np.int64] = start + places
        return items

    def _allowed_rows(self, position: int, is_allowed_L: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Mask of a segment's rows that are live and allowed, [N]."""
        start, end = self._bounds[position : position + 2]
        live_L = self.latest.row_of_item[start:end]
        if len(live_L) == len(self.segments[position].vectors):  # each row is its own place
            return np.ones(len(live_L), np.bool_) if is_allowed_L is None else is_allowed_L
        is_allowed_N = np.zeros(len(self.segments[position].vectors), np.bool_)
        is_allowed_N[live_L] = True if is_allowed_L is None else is_allowed_L
        return is_allowed_N

    def _read(self, position: int, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        file = self._files.get(position)
        return self.segments[position].vectors[rows] if file is None else file.read(rows)

    @cached_property
    def _files(self) -> dict[int, RowFile]:
        return {
            position: RowFile(segment.file)
            for position, segment in enumerate(self.segments)
            if segment.file is not None and len(segment.vectors)
        }

    @cached_property
    def _indexes(self) -> dict[int, IndexFile]:
        return {
            position: IndexFile(segment.index, *segment.vectors.shape)
            for position, segment in enumerate(self.segments)
            if segment.index is not None
        }


def _without(items: NDArray[np.int64], excluded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Items in their order, without the excluded ones."""
    if not len(excluded):
        return items
    ascending = np.sort(excluded)  # of a few items, this takes a quarter of the time of `np.isin`
    places = np.minimum(np.searchsorted(ascending, items), len(ascending) - 1)
    left: NDArray[np.int64] = items[ascending[places] != items]
    return left
