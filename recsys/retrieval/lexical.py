"""Search by words: BM25 over the live items of a release, exact however its items lie in segments."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.features.terms import SCHEMA, text_terms
from recsys.features.words import WORDS_VERSION, words
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.storage.tables import map_foreign_arrow

# Shape suffixes: I live items, N live rows of a segment, V terms, P postings, S segments.
GONE = -1
"""In place of an item: the row has been superseded, or deleted."""
SPARSE = 64
"""With fewer postings than one in so many items, sorting them is faster than a sum for every item."""
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
        bounds = np.searchsorted(latest.segment_of_item, np.arange(len(segments) + 1)).tolist()
        self._segments = [
            None if segment is None else _live(segment, latest.row_of_item[start:end], start)
            for segment, start, end in zip(segments, bounds[:-1], bounds[1:], strict=True)
        ]
        live = [one for one in self._segments if one]
        self._n_all = len(latest.item_ids)
        self._n_items = sum(one.n_items for one in live)
        self._mean = max(sum(one.n_words for one in live), 1) / max(self._n_items, 1)
        self._k1, self._b = k1, b

    @classmethod
    def of_texts(cls, texts: Sequence[str], *, k1: float, b: float) -> Self:
        """Over texts that lie in no segment; the item of each is its place."""
        n = len(texts)
        ids = ItemIds(str(row) for row in range(n))
        latest = Latest(ids, np.zeros(n, np.int32), np.arange(n))
        return cls([_segment_terms(text_terms(texts))], latest, k1=k1, b=b)

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
        items, parts, bound = [np.empty(0, np.int64)], [np.empty(0)], 0.0
        for weight, found in self._found(query):
            weighed_idf = weight * self._idf(sum(len(one.items) for one in found))
            bound += weighed_idf
            for one in found:
                norm = self._k1 * (1 - self._b + self._b * one.n_words / self._mean)
                items.append(one.items)
                parts.append(weighed_idf * (one.counts / (one.counts + norm)))
        rows, scores = _summed(np.concatenate(items), np.concatenate(parts), self._n_all)
        return rows, scores.astype(np.float32), bound

    def _idf(self, n_items: int) -> float:
        """Of a word that so many items hold."""
        return float(np.log1p((self._n_items - n_items + 0.5) / (n_items + 0.5)))

    def _found(self, query: str) -> Iterator[tuple[int, list["_Hits"]]]:
        """For each word of a query: how often it stands there, and where it occurs."""
        weights = Counter(words(query))
        terms = pa.array(list(weights), pa.string())
        live = [segment for segment in self._segments if segment]
        places_S = [segment.terms.places(terms) for segment in live]
        for weight, *places in zip(weights.values(), *places_S, strict=True):
            yield weight, [one.hits(at) for one, at in zip(live, places, strict=True) if at is not None]


@dataclass(frozen=True)
class _Hits:
    """Live items of one segment that have a term; ascending."""

    items: NDArray[np.int64]
    counts: NDArray[np.int32]
    """How often each has it."""
    n_words: NDArray[np.int32]
    """Words of each."""


@dataclass(frozen=True)
class _LiveSegment:
    """Terms of one segment, and which of its rows are live."""

    terms: SegmentTerms
    start: int
    """Position of its first item."""
    item_N: NDArray[np.int32] | None
    """Position of each row's item, or GONE; None where each row is live: `start` + row."""
    n_items: int
    """Live rows."""
    n_words: int
    """Of all live rows."""

    def hits(self, place: int) -> _Hits:
        """Where the term at a place occurs."""
        rows, counts = self.terms.postings(place)
        if self.item_N is None:
            return _Hits(rows + np.int64(self.start), counts, self.terms.n_words_N[rows])
        items = self.item_N[rows]
        is_live = items != GONE
        rows = rows[is_live]
        return _Hits(items[is_live].astype(np.int64), counts[is_live], self.terms.n_words_N[rows])


def _live(terms: SegmentTerms, rows: NDArray[np.int64], start: int) -> _LiveSegment:
    """A segment whose rows `rows`, ascending, are the items from `start` on."""
    n_words_N = terms.n_words_N
    n_words = int(n_words_N[rows].sum(dtype=np.int64))
    if len(rows) == len(n_words_N):
        return _LiveSegment(terms, start, None, len(rows), n_words)
    item_N = np.full(len(n_words_N), GONE, np.int32)
    item_N[rows] = np.arange(start, start + len(rows), dtype=np.int32)
    return _LiveSegment(terms, start, item_N, len(rows), n_words)


def _summed(
    items_P: NDArray[np.int64], parts_P: NDArray[np.float64], n_items: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Items, ascending, each with the sum of its parts in their order: the same bits by both ways."""
    if len(items_P) * SPARSE < n_items:
        rows, inverse = np.unique(items_P, return_inverse=True)
        return rows, np.asarray(np.bincount(inverse, parts_P, len(rows)), np.float64)
    sums_I = np.asarray(np.bincount(items_P, parts_P, n_items), np.float64)
    rows = np.flatnonzero(sums_I > 0)  # several times faster than on the sums themselves
    return rows, sums_I[rows]
