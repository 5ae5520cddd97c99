"""Exact search for queries that hardly change from one time to the next, over segments whose vectors never change.

The best rows of each large segment are kept, with the score that no other row exceeds. Rows have length 1, so another
query, at a distance of δ, gives no row a score that differs by more than δ (Cauchy and Schwarz). If the k best of
what is kept score more than any other row then can, they are the k best of all. Else the segment is searched again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.in_place import NOISE, best_places, row_by_row
from recsys.retrieval.segment_scores import SegmentScores, best_scores
from recsys.retrieval.segments import SegmentSearcher
from recsys.storage.arrays import from_npz_bytes, npz_bytes
from recsys.storage.checked import read_checked, write_checked

# Shape suffixes: Q queries, P queries that were asked before, D dimension, K list, N rows of a segment.
SPARE_ROWS = 100
"""Best rows that are kept of a query beside those that it excludes."""
WIDENING = 4
"""Factor on them where too many of the kept rows are superseded."""


@dataclass(frozen=True)
class BestRows:
    """What is known of one segment."""

    queries_PD: NDArray[np.float32]
    """Queries that were asked."""
    rows: tuple[NDArray[np.int64], ...]
    """For each of them its best rows, whether or not they are live."""
    most_P: NDArray[np.float64]
    """No other row scores more with that query; -inf where there is none."""


Known = Mapping[str, BestRows]
"""Segment name -> what is known of it."""


def save_known(known: Known, path: Path) -> None:
    """Write what is known to a cache."""
    arrays: dict[str, NDArray[np.generic]] = {"names": np.array(list(known), np.str_)}
    for place, best in enumerate(known.values()):
        arrays[f"queries-{place}"], arrays[f"most-{place}"] = best.queries_PD, best.most_P
        arrays[f"lengths-{place}"] = np.array([len(rows) for rows in best.rows], np.int64)
        arrays[f"rows-{place}"] = np.concatenate([np.empty(0, np.int64), *best.rows])
    write_checked(path, npz_bytes(arrays))


def load_known(path: Path) -> Known:
    """Read what `save_known` wrote; empty where it is missing or damaged, since it only saves time."""
    content = read_checked(path)
    if content is None:
        return {}
    saved, found = from_npz_bytes(content), {}
    for place, name in enumerate(saved["names"].tolist()):
        rows = np.split(saved[f"rows-{place}"], np.cumsum(saved[f"lengths-{place}"])[:-1])
        found[name] = BestRows(saved[f"queries-{place}"], tuple(rows), saved[f"most-{place}"])
    return found


def exact_scores(
    searcher: SegmentSearcher, names: Sequence[str], asked: SegmentScores, known: Known
) -> tuple[NDArray[np.float64], Known]:
    """Scores of the k best live items of each query, by exact search.

    Args:
        searcher: over the live items.
        names: of its segments.
        asked: the queries, length of lists, and what is not in them; finds the scores of segments without an index.
        known: of earlier calls; it changes nothing but the time.

    Returns:
        Scores, best first, -inf where there are fewer items; and what is known for the next call.
    """
    large = [position for position in searcher.live_segments if searcher.segments[position].index is not None]
    small = [position for position in searcher.live_segments if position not in large]
    queries_QD, excluded = asked.queries_QD, asked.excluded
    found = [asked.of(searcher, position, names[position]) for position in small]
    best = {position: _nearest(known.get(names[position]), queries_QD) for position in large}
    spare = SPARE_ROWS
    while True:
        parts = [*found, *(_scores(searcher, position, best[position], asked) for position in large)]
        truth_QK = best_scores(np.concatenate(parts, axis=1), asked.k)
        is_known = True
        for position in large:
            distance_Q = np.linalg.norm(queries_QD - best[position].queries_PD, axis=1)
            reach_Q = best[position].most_P + distance_Q + 2 * NOISE
            short = np.flatnonzero(~(truth_QK[:, -1] >= reach_Q))
            if len(short):
                is_known = False
                widths = [len(excluded[q]) + spare for q in short.tolist()]
                again = _searched(searcher.segments[position].vectors, queries_QD[short], widths)
                best[position] = _replaced(best[position], short, again)
        if is_known:
            return truth_QK, {names[position]: one for position, one in best.items()}
        spare *= WIDENING


def _nearest(kept: BestRows | None, queries_QD: NDArray[np.float32]) -> BestRows:
    """Of each query, what is known of the one that is nearest to it."""
    if kept is None or not len(kept.rows) or kept.queries_PD.shape[1] != queries_QD.shape[1]:
        nothing = tuple(np.empty(0, np.int64) for _ in queries_QD)
        return BestRows(queries_QD, nothing, np.full(len(queries_QD), np.inf))
    nearest_Q = np.argmax(queries_QD @ kept.queries_PD.T, axis=1)
    rows = tuple(kept.rows[p] for p in nearest_Q.tolist())
    return BestRows(kept.queries_PD[nearest_Q], rows, kept.most_P[nearest_Q])


def _scores(
    searcher: SegmentSearcher, position: int, best: BestRows, asked: SegmentScores
) -> NDArray[np.float64]:
    """Scores of those of the best rows that may be in the list of each query, as `SegmentScores.of` gives them."""
    live = (searcher.live_items(position, rows) for rows in best.rows)
    items_Q = [items[~np.isin(items, own)] for items, own in zip(live, asked.excluded, strict=True)]
    scored = zip(asked.queries_QD, items_Q, strict=True)
    return np.stack([best_scores(searcher.scores(query, items), asked.k) for query, items in scored])


def _searched(
    vectors_ND: NDArray[np.float32], queries_QD: NDArray[np.float32], widths: Sequence[int]
) -> BestRows:
    """The best rows of a segment, at least as many as wanted of each query."""
    rows, most = [], []
    found = best_places(vectors_ND, np.arange(len(vectors_ND)), queries_QD, max(widths))
    for places, query, width in zip(found, queries_QD, widths, strict=True):
        scores = row_by_row(vectors_ND[places], query)
        order = np.argsort(-scores, kind="stable")[:width]
        rows.append(places[order])
        most.append(scores[order[-1]] if len(order) < len(vectors_ND) else -np.inf)
    return BestRows(queries_QD, tuple(rows), np.array(most))


def _replaced(best: BestRows, places: NDArray[np.int64], again: BestRows) -> BestRows:
    """What is known, with some queries answered anew."""
    queries_PD, rows, most_P = best.queries_PD.copy(), list(best.rows), best.most_P.copy()
    queries_PD[places], most_P[places] = again.queries_PD, again.most_P
    for place, one in zip(places.tolist(), again.rows, strict=True):
        rows[place] = one
    return BestRows(queries_PD, tuple(rows), most_P)
