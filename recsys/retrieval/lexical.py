"""Search by words: BM25 over the live items of a release, exact however its items lie in segments."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.features.terms import SCHEMA
from recsys.features.words import WORDS_VERSION, words
from recsys.profiles.items import Latest
from recsys.storage.tables import map_foreign_arrow

# Shape suffixes: I live items, N live rows of a segment, V terms, P postings, S segments.
GONE = -1
"""In place of an item: the row has been superseded, or deleted."""
HALVING_COST = 150
"""Finding one term by halving costs about as much as hashing so many terms of a segment: a long query hashes all."""


@dataclass(frozen=True)
class SegmentTerms:
    """The inverted index of one segment, mapped from its file."""

    terms_V: pa.StringArray
    """Ascending; the first is empty, and its postings are all rows with their numbers of words."""
    offsets_V: NDArray[np.int64]
    """Where each term's postings begin, and the end of the last."""
    row_P: NDArray[np.int32]
    count_P: NDArray[np.int32]

    @property
    def n_words_N(self) -> NDArray[np.int32]:
        """Words of each row."""
        return self.count_P[self.offsets_V[0] : self.offsets_V[1]]

    def places(self, terms: pa.StringArray) -> list[int | None]:
        """Where each of these terms stands; None for one that the segment lacks."""
        if len(terms) * HALVING_COST > len(self.terms_V):
            found: list[int | None] = pc.index_in(terms, value_set=self.terms_V).to_pylist()
            return found
        return [self._place(term) for term in terms.to_pylist()]

    def _place(self, term: str) -> int | None:
        place = bisect_left(self.terms_V, term, key=lambda known: known.as_py())
        return place if place < len(self.terms_V) and self.terms_V[place].as_py() == term else None

    def postings(self, place: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rows with the term at a place, and how often each has it."""
        start, end = self.offsets_V[place : place + 2]
        return self.row_P[start:end], self.count_P[start:end]


def open_terms(path: Path, n_items: int) -> SegmentTerms:
    """Map the inverted index of one segment.

    Args:
        path: a file that stage `features` wrote, perhaps in another workspace.
        n_items: live rows of the segment.

    Returns:
        The index; it leads to no row outside of the segment.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else, or was made by newer software; says why.
        pyarrow.ArrowException: it is no Arrow file.
    """
    return _segment_terms(
        map_foreign_arrow(path, lambda table: _require_terms(_segment_terms(table), n_items))
    )


def _segment_terms(table: pa.Table) -> SegmentTerms:
    """The arrays of a table, nothing copied; ValueError where it is no such table."""
    version = (table.schema.metadata or {}).get(b"words_version", b"").decode("ascii", "replace")
    if version != str(WORDS_VERSION):
        raise ValueError(f"holds words of version {version!r}, this Firstlight reads {WORDS_VERSION}")
    if not table.schema.equals(SCHEMA):
        raise ValueError(f"has the columns {', '.join(table.schema.names[:9])}")
    if any(column.num_chunks != 1 for column in table.columns):
        raise ValueError("is cut into pieces")
    terms_V, lists = (column.chunk(0) for column in table.columns)
    if terms_V.null_count or lists.null_count or lists.values.null_count:
        raise ValueError("holds nulls")
    row_P, count_P = (lists.values.field(name).to_numpy() for name in ("row", "count"))
    return SegmentTerms(terms_V, lists.offsets.to_numpy(), row_P, count_P)


def _require_terms(found: SegmentTerms, n_items: int) -> None:
    if (
        not pc.all(pc.less(found.terms_V[:-1], found.terms_V[1:]), min_count=0).as_py()
        or found.terms_V[0].as_py()
    ):
        raise ValueError("has terms in another order")
    every_row = found.row_P[found.offsets_V[0] : found.offsets_V[1]]
    if len(every_row) != n_items or (every_row != np.arange(n_items)).any():
        raise ValueError(f"is not of {n_items} items")
    if len(found.row_P) and (found.row_P.min() < 0 or found.row_P.max() >= n_items):
        raise ValueError(f"holds rows that are none of its {n_items} items")
    if (found.n_words_N < 0).any() or (found.count_P[found.offsets_V[1] :] < 1).any():
        raise ValueError("holds counts that are none")


class LexicalIndex:
    """BM25 with the statistics of all live items together.

    Args:
        segments: one per segment, by `open_terms`; None where a release of an older format has none: no word finds
            its items, and they count in no statistic.
        latest: of the same segments.
        k1: how soon repeating a word adds nothing more.
        b: how much longer items are held back, from 0 to 1.

    Source: Robertson and Zaragoza 2009, FnTIR 3(4), in the form of Lucene 8 and later: idf = ln(1 + (n - df + 1/2) /
    (df + 1/2)), and no factor k1 + 1. Lengths are exact, where Lucene rounds them to a byte.
    """

    def __init__(
        self, segments: Sequence[SegmentTerms | None], latest: Latest, *, k1: float, b: float
    ) -> None:
        self._segments = tuple(segments)
        bounds = np.searchsorted(latest.segment_of_item, np.arange(len(segments) + 1))
        self._items: list[NDArray[np.int64]] = []
        n_words_I = np.zeros(len(latest.item_ids), np.int64)
        n_items = 0
        for position, segment in enumerate(self._segments):
            start, end = bounds[position : position + 2]
            n_words_N = segment.n_words_N if segment else np.empty(0, np.int32)
            item_N = np.full(len(n_words_N), GONE, np.int64)
            if segment:
                rows = latest.row_of_item[start:end]
                item_N[rows] = np.arange(start, end)
                n_words_I[start:end] = n_words_N[rows]
                n_items += end - start
            self._items.append(item_N)
        self._n_items = int(n_items)
        mean = max(int(n_words_I.sum()), 1) / max(self._n_items, 1)
        self._norm_I = k1 * (1 - b + b * n_words_I / mean)

    def scores(self, query: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score every item in which a word of a query occurs.

        Args:
            query: any text; a word that occurs twice in it counts twice.

        Returns:
            Positions in `Latest.item_ids`, ascending, and the score of each, above 0.
        """
        rows, scores, _ = self._scored(query)
        return rows, scores

    def shares(self, query: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Which share of what a query says each item says too.

        Args:
            query: any text.

        Returns:
            As `scores`, divided by what no score of the query reaches: Σ idf of its words, those that no item holds
            among them. So the shares lie between 0 and 1.
        """
        rows, scores, bound = self._scored(query)
        return rows, scores / np.float32(bound or 1)

    def _scored(self, query: str) -> tuple[NDArray[np.int64], NDArray[np.float32], float]:
        """Items, their scores, and what no score reaches."""
        scores_I, bound = np.zeros(len(self._norm_I)), 0.0
        for weight, items, counts in self._found(query):
            weighed_idf = weight * self._idf(len(items))
            bound += weighed_idf
            scores_I[items] += weighed_idf * (counts / (counts + self._norm_I[items]))
        rows = np.flatnonzero(scores_I)
        return rows, scores_I[rows].astype(np.float32), bound

    def _idf(self, n_items: int) -> float:
        """Of a word that so many items hold."""
        return float(np.log1p((self._n_items - n_items + 0.5) / (n_items + 0.5)))

    def _found(self, query: str) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int32]]]:
        """For each word of a query: how often it stands there, the live items with it, and how often each has it."""
        weights = Counter(words(query))
        terms = pa.array(list(weights), pa.string())
        places_S = [segment.places(terms) if segment else [None] * len(terms) for segment in self._segments]
        for weight, *places in zip(weights.values(), *places_S, strict=True):
            yield weight, *self._postings(places)

    def _postings(self, places: Sequence[int | None]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Live items with a term, and how often each has it; `places`: where it stands in each segment."""
        found_items, found_counts = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
        for segment, item_N, place in zip(self._segments, self._items, places, strict=True):
            if segment is None or place is None:
                continue
            rows, counts = segment.postings(place)
            items = item_N[rows]
            is_live = items != GONE
            found_items.append(items[is_live])
            found_counts.append(counts[is_live])
        return np.concatenate(found_items), np.concatenate(found_counts)
