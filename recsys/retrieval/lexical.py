"""Search by words: BM25 over the live items of a release, exact however its items lie in segments."""

from collections import Counter
from collections.abc import Sequence
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.features.terms import text_terms
from recsys.features.words import words
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval.query_words import QueryWord, Saturation, live_segment, share_of, summed
from recsys.retrieval.segment_terms import SegmentTerms, segment_terms

# Shape suffixes: L live rows of a segment, S segments.


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
        bounds = latest.bounds(len(segments)).tolist()
        held = [
            (terms, latest.row_of_item[start:end], start)
            for terms, start, end in zip(segments, bounds[:-1], bounds[1:], strict=True)
            if terms is not None
        ]
        n_words = sum(int(terms.n_words_N[row_L].sum(dtype=np.int64)) for terms, row_L, _ in held)
        self._n_items = sum(len(row_L) for _, row_L, _ in held)
        saturation = Saturation(k1, b, max(n_words, 1) / max(self._n_items, 1))
        self._segments = [live_segment(terms, row_L, start, saturation) for terms, row_L, start in held]
        self._n_all = len(latest.item_ids)

    @classmethod
    def of_texts(cls, texts: Sequence[str], *, k1: float, b: float) -> Self:
        """Over texts that lie in no segment; the item of each is its place."""
        n = len(texts)
        ids = ItemIds(str(row) for row in range(n))
        latest = Latest(ids, np.zeros(n, np.int32), np.arange(n))
        return cls([segment_terms(text_terms(texts))], latest, k1=k1, b=b)

    def scores(self, query: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score every item in which a word of a query occurs.

        Args:
            query: any text; a word that occurs twice in it counts twice.

        Returns:
            Positions in `Latest.item_ids`, ascending, and the score of each, above 0.
        """
        rows, scores = self._scored(self.words_of(query))
        return rows, scores.astype(np.float32)

    def shares(self, query: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score items by a query with BM25, as a share of the largest possible score.

        Args:
            query: any text.

        Returns:
            As `scores`, divided by what no score of the query reaches: Σ idf of its words, those that no item holds
            among them. So the shares lie between 0 and 1.
        """
        found = self.words_of(query)
        rows, scores = self._scored(found)
        return rows, share_of(scores, found)

    def words_of(self, query: str) -> list[QueryWord]:
        """The words of a query, each once, in the order of their first occurrence."""
        weights = Counter(words(query))
        terms = pa.array(list(weights), pa.string())
        places_S = [segment.terms.places(terms) for segment in self._segments]
        found = []
        for weight, *places in zip(weights.values(), *places_S, strict=True):
            at = [
                (one, place) for one, place in zip(self._segments, places, strict=True) if place is not None
            ]
            n_items = sum(segment.known_of(place).n_items for segment, place in at)
            found.append(QueryWord(weight * self._idf(n_items), at))
        return found

    def _scored(self, found: Sequence[QueryWord]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Items and their scores."""
        items, parts = [np.empty(0, np.int64)], [np.empty(0)]
        for word in found:
            for some_items, some_parts in word.postings():
                items.append(some_items)
                parts.append(some_parts)
        return summed(np.concatenate(items), np.concatenate(parts), self._n_all)

    def _idf(self, n_items: int) -> float:
        """Inverse document frequency of a word that this many items hold."""
        return float(np.log1p((self._n_items - n_items + 0.5) / (n_items + 0.5)))
