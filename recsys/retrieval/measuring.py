"""Recall of an index against exact search, and how widely it must be searched for it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.completion import n_completing
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.retrieval.in_place import NOISE
from recsys.retrieval.index_building import set_search_width
from recsys.retrieval.params import RECALL_AT, WIDEST_SEARCH, IndexParams
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher

# Shape suffixes: Q queries, D dimension, N vectors of one segment, K list.
WIDENINGS = (2, 4)
"""Factors on `index.search_width` that are tried, one after the other, where it finds too little."""


def widen(vectors_ND: NDArray[np.float32], index: Path, params: IndexParams, lexical_width: int = 0) -> float:
    """Let searches of a new index file keep so many rows in view that they find enough.

    Args:
        vectors_ND: the segment's live vectors, unit rows; may be memory-mapped.
        index: the file, made by `build_index`.
        params: section `index`.
        lexical_width: see `index_recall`.

    Returns:
        Its recall, see `index_recall`; below `least_recall` where even the widest search finds less.
    """
    sample = _Sample(vectors_ND, params, lexical_width)
    recall = sample.recall(index)
    for factor in WIDENINGS:
        if recall >= params.least_recall:
            return recall
        width = min(factor * params.search_width, WIDEST_SEARCH)
        recall = sample.recall(index, width)
        set_search_width(index, width)
    return recall


def index_recall(
    vectors_ND: NDArray[np.float32], index: Path, params: IndexParams, lexical_width: int = 0
) -> float:
    """Recall@10 of an index file against exact search, with a sample of the segment's vectors as queries.

    The queries leave out what only completes unit length, as the service does where it looks for similar items. A
    query's own row is left out of its list. A found item that is as near as the true tenth one counts.

    Args:
        vectors_ND: the segment's live vectors.
        index: a file of `build_index`.
        params: `recall_queries` and `seed`.
        lexical_width: leading dimensions of the vectors that hold words.

    Returns:
        A share in [0, 1]; 1 for a single vector.
    """
    return _Sample(vectors_ND, params, lexical_width).recall(index)


class _Sample:
    """Some of a segment's vectors as queries; the exact search for them runs once."""

    def __init__(self, vectors_ND: NDArray[np.float32], params: IndexParams, lexical_width: int) -> None:
        n = len(vectors_ND)
        rows = np.sort(
            np.random.default_rng(params.seed).choice(n, min(params.recall_queries, n), replace=False)
        )
        self._vectors_ND = vectors_ND
        self._everything = Latest(
            ItemIds(map(str, range(n))), np.zeros(n, np.int32), np.arange(n, dtype=np.int64)
        )
        self._queries_QD = np.array(vectors_ND[rows])
        self._queries_QD[:, : n_completing(lexical_width)] = 0
        self._itself = [{int(row)} for row in rows]
        self._k = min(RECALL_AT, n - 1)
        self._least_Q1 = self._scores_QK(None)[:, -1:] if self._k else np.empty((0, 1))

    def recall(self, index: Path, search_width: int = 0) -> float:
        """Recall where searches keep at least so many rows in view."""
        if not self._k:
            return 1.0
        return float((self._scores_QK(index, search_width) >= self._least_Q1 - NOISE).mean())

    def _scores_QK(self, index: Path | None, search_width: int = 0) -> NDArray[np.float64]:
        """Scores of what a search finds; exactly where there is no index."""
        searcher = SegmentSearcher([IndexedSegment(self._vectors_ND, index)], self._everything, search_width)
        return searcher.search(self._queries_QD, self._k, self._itself).scores_QK
