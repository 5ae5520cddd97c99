"""What a search knows of inner products before it reads vectors: segments that are searched by signs estimate them.

Of some hundred candidates most are far from being in a list, whatever their vectors say exactly. Reading only those
that may be in it takes a fraction of the time.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.ordering import likely_best
from recsys.retrieval.segments import SegmentSearcher

# Shape suffixes: D dimension, N items.


def near_items(
    searcher: SegmentSearcher,
    query_D: NDArray[np.float32],
    k: int,
    exclude: Collection[int],
    allowed_I: NDArray[np.bool_] | None,
    sure: int,
) -> NDArray[np.int64]:
    """Find items among which are the k best, without reading the vectors of all of them.

    Args:
        searcher: over the live items.
        query_D: the query.
        k: how many, at least 1.
        exclude: items (positions in `Latest.item_ids`) that must not be found.
        allowed_I: mask of items that may be found; None: all.
        sure: how many of them must be the best, at most k; the others are the best by what `estimates` tells.

    Returns:
        Items, ascending; more than k where estimates leave it open which are the best.
    """
    queries_1D = np.ascontiguousarray(query_D[None], dtype=np.float32)
    excluded = [np.fromiter(exclude, np.int64, len(exclude))]
    parts = [
        searcher.best_of_segment(position, queries_1D, k, excluded, allowed_I, sure=sure)[0]
        for position in searcher.live_segments
    ]
    items = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    if len(items) <= k:
        return items
    about_N, off_N = estimates(searcher, queries_1D[0], items)

    def scores_of(places: NDArray[np.int64]) -> NDArray[np.float64]:
        return searcher.scores(queries_1D[0], items[places])

    # A filter may have left nothing near.
    may_be_N = likely_best(about_N, float(off_N.max()), k, sure, None if allowed_I is None else scores_of)
    found: NDArray[np.int64] = items[may_be_N]
    return found


def estimates(
    searcher: SegmentSearcher, query_D: NDArray[np.float32], items: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inner products as far as they are known without reading vectors; where nothing is, vectors are read.

    Args:
        searcher: over the live items.
        query_D: the query.
        items: positions in `Latest.item_ids`, [N].

    Returns:
        Estimates, and an error that few exceed; 0 where it is what `SegmentSearcher.scores` gives: [N] both.
    """
    about_N, off_N = np.empty(len(items)), np.zeros(len(items))
    segment_N, row_N = searcher.latest.segment_of_item[items], searcher.latest.row_of_item[items]
    for position in searcher.live_segments:
        mine = np.flatnonzero(segment_N == position)
        if not len(mine):
            continue
        index = searcher.index_of(position)
        known = index.estimates(query_D, row_N[mine]) if index else None
        if known is None:
            about_N[mine] = searcher.scores(query_D, items[mine])
        else:
            about_N[mine], off_N[mine] = known
    return about_N, off_N
