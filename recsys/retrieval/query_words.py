"""A query's words in the live items of a release: who has them, and what each adds to a score."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.segment_terms import SegmentTerms

# Shape suffixes: I live items, N rows of a segment, L live rows of one, P postings.
SPARSE = 16
"""With postings for fewer than one item in this many, sorting them is faster than a sum over all items."""
GONE = -1
"""In place of an item: the row has been superseded, or deleted."""
COMMON = 1024
"""What is known of a word with more postings than this is kept, since counting it again reads them all."""


@dataclass(frozen=True)
class Saturation:
    """BM25's saturation: how much an item's occurrences of one word count, from 0 to 1."""

    k1: float
    b: float
    mean: float
    """Words of an item."""

    def of(self, counts: NDArray[np.int32], n_words: NDArray[np.int32]) -> NDArray[np.float64]:
        """Score of items that hold the word `counts` times among `n_words` words."""
        norm = self.k1 * (1 - self.b + self.b * n_words / self.mean)
        saturated: NDArray[np.float64] = counts / (counts + norm)
        return saturated


@dataclass(frozen=True)
class QueryWord:
    """A word of a query."""

    weight: float
    """Its idf times how often it stands in the query."""
    at: Sequence[tuple["LiveSegment", int]]
    """Segments that have it, with its place in each."""

    @cached_property
    def n_postings(self) -> int:
        """Rows with it, live or not."""
        return sum(segment.n_postings(place) for segment, place in self.at)

    @cached_property
    def most(self) -> float:
        """What it adds to no score more than."""
        return self.weight * max((segment.known_of(place).most for segment, place in self.at), default=0.0)

    def postings(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Yield, per segment, the items that hold the word, ascending, and what it adds to the score of each."""
        for segment, place in self.at:
            items, parts = segment.postings(place)
            yield items, self.weight * parts

    def parts_of(self, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """What it adds to the scores of some items, ascending: the same bits as by `postings`; 0 without it."""
        parts = np.zeros(len(items))
        for segment, place in self.at:
            first, last = np.searchsorted(items, (segment.start, segment.start + segment.n_items))
            parts[first:last] = self.weight * segment.parts_of(place, items[first:last])
        return parts


@dataclass(frozen=True)
class _Known:
    """What is known of a word in one segment."""

    n_items: int
    """Live items with it."""
    most: float
    """No item's saturation is more."""


@dataclass(frozen=True)
class LiveSegment:
    """Terms of one segment, and which of its rows are live."""

    terms: SegmentTerms
    saturation: Saturation
    start: int
    """Position of its first item."""
    row_L: NDArray[np.int64]
    """Row of each of its items, ascending."""
    item_N: NDArray[np.int32] | None
    """Position of each row's item, or GONE; None where each row is live: `start` + row."""
    _known: dict[int, _Known] = field(default_factory=dict)
    """Common words, by their place."""

    @property
    def n_items(self) -> int:
        """Live rows."""
        return len(self.row_L)

    def n_postings(self, place: int) -> int:
        """Rows with the term at a place, live or not."""
        return int(self.terms.offsets_V[place + 1] - self.terms.offsets_V[place])

    def known_of(self, place: int) -> _Known:
        """What is known of the term at a place; of a common one it is counted once."""
        if (known := self._known.get(place)) is not None:
            return known
        n = self.n_postings(place)
        if n <= COMMON:
            return _Known(n if self.item_N is None else len(self.postings(place)[0]), 1.0)
        items, saturated = self.postings(place)
        return self._known.setdefault(place, _Known(len(items), float(saturated.max(initial=0.0))))

    def postings(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Live items with the term at a place, ascending, and the saturation of each."""
        rows, counts = self.terms.postings(place)
        if self.item_N is None:
            return rows + np.int64(self.start), self.saturation.of(counts, self.terms.n_words_N[rows])
        items = self.item_N[rows]
        is_live = items != GONE
        saturated = self.saturation.of(counts[is_live], self.terms.n_words_N[rows[is_live]])
        return items[is_live].astype(np.int64), saturated

    def parts_of(self, place: int, items: NDArray[np.int64]) -> NDArray[np.float64]:
        """The saturation of some of its live items, ascending; 0 for those without the term at a place."""
        with_term, counts = self.terms.postings(place)
        rows = items - self.start
        rows = (rows if self.item_N is None else self.row_L[rows]).astype(np.int32)
        at = np.minimum(with_term.searchsorted(rows), len(with_term) - 1)
        has_it = with_term[at] == rows
        parts = np.zeros(len(items))
        parts[has_it] = self.saturation.of(counts[at[has_it]], self.terms.n_words_N[rows[has_it]])
        return parts


def live_segment(
    terms: SegmentTerms, row_L: NDArray[np.int64], start: int, saturation: Saturation
) -> LiveSegment:
    """A segment of which some rows are live.

    Args:
        terms: of all its rows.
        row_L: the live ones, ascending: they are the items from `start` on.
        start: position of the first.
        saturation: of the whole release.

    Returns:
        The segment.
    """
    n_rows = len(terms.n_words_N)
    if len(row_L) == n_rows:
        return LiveSegment(terms, saturation, start, row_L, None)
    item_N = np.full(n_rows, GONE, np.int32)
    item_N[row_L] = np.arange(start, start + len(row_L), dtype=np.int32)
    return LiveSegment(terms, saturation, start, row_L, item_N)


def share_of(scores: NDArray[np.float64], found: Sequence[QueryWord]) -> NDArray[np.float32]:
    """Scores over what none of them reaches, see `LexicalIndex.shares`."""
    bound = sum(word.weight for word in found)
    return scores.astype(np.float32) / np.float32(bound or 1)


def summed(
    items_P: NDArray[np.int64], parts_P: NDArray[np.float64], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Items, ascending, each with the sum of its parts in their order: the same bits by both ways."""
    if len(items_P) * SPARSE < n_items:
        rows, inverse = np.unique(items_P, return_inverse=True)
        return rows, np.asarray(np.bincount(inverse, parts_P, len(rows)), np.float64)
    sums_I = np.asarray(np.bincount(items_P, parts_P, n_items), np.float64)
    rows = np.flatnonzero(sums_I > 0)  # several times faster than on the sums themselves
    return rows, sums_I[rows]
