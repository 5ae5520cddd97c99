"""Scores of what a search finds in each segment, for queries that are asked again with the next release.

A segment's vectors never change. Where its live rows, the queries and what these exclude are the same as before, so are
the scores: they are kept, and an arrival searches only the segments that it brings or whose items it replaces.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.segments import SegmentSearcher
from recsys.storage.arrays import from_npz_bytes, npz_bytes
from recsys.storage.checked import read_checked, write_checked

# Shape suffixes: Q queries, K list, D dimension.


class SegmentScores:
    """Queries, and the scores of what searches find for them in single segments.

    Args:
        queries_QD: unit vectors.
        k: length of the lists.
        excluded: for each query, items (positions in `Latest.item_ids`) that must not be found.
        kept: file of the scores; None: none are kept.
        code: the commit of the code that searches; scores of other code are not used.
    """

    def __init__(
        self,
        queries_QD: NDArray[np.float32],
        k: int,
        excluded: Sequence[NDArray[np.int64]],
        kept: Path | None = None,
        code: str = "",
    ) -> None:
        self.queries_QD = queries_QD
        self.k = k
        self.excluded = excluded
        self._kept = kept
        self._about = hashlib.sha256(
            f"{code} {k} {queries_QD.shape} ".encode() + queries_QD.tobytes()
        ).digest()
        self._before = _load(kept)
        self._now: dict[str, NDArray[np.float64]] = {}

    def of(self, searcher: SegmentSearcher, position: int, name: str, viewed: int = 0) -> NDArray[np.float64]:
        """Scores of the best items that a search finds in one segment. Each query is searched for alone.

        Args:
            searcher: over the live items.
            position: of the segment.
            name: of the segment and of its index; names the content of both.
            viewed: rows of a graph to keep in view, see `SegmentSearcher.search`.

        Returns:
            Best first, -inf where there are fewer: [Q, K].
        """
        key = self._key(searcher, position, name, viewed)
        found = self._before.get(key)
        if found is None:
            found = self._searched(searcher, position, viewed)
        self._now[key] = found
        return found

    def save(self) -> None:
        """Keep the scores that were asked for, and drop all others."""
        if self._kept is None or self._now.keys() == self._before.keys():
            return
        keys = sorted(self._now)
        scores = np.stack([self._now[key] for key in keys]) if keys else np.empty(0)
        write_checked(self._kept, npz_bytes({"keys": np.array(keys, np.str_), "scores": scores}))

    def _key(self, searcher: SegmentSearcher, position: int, name: str, viewed: int) -> str:
        """Hash of all that the scores depend on."""
        live, segment = searcher.items_of_segment(position), searcher.segments[position]
        width = (viewed or searcher.search_width) if segment.index else 0
        of_segment = [own[(own >= live.start) & (own < live.stop)] - live.start for own in self.excluded]
        digest = hashlib.sha256(self._about)
        digest.update(f"{name} {width} {[len(own) for own in of_segment]} ".encode())
        for own in of_segment:
            digest.update(own.tobytes())
        if len(live) < len(segment.vectors):  # else all rows are live
            digest.update(searcher.latest.row_of_item[live.start : live.stop].tobytes())
        return digest.hexdigest()

    def _searched(self, searcher: SegmentSearcher, position: int, viewed: int) -> NDArray[np.float64]:
        if searcher.segments[position].index is None:  # several queries at once change nothing
            found = searcher.best_of_segment(position, self.queries_QD, self.k, self.excluded)
        else:
            found = [
                searcher.best_of_segment(position, query[None], self.k, [own], viewed=viewed)[0]
                for query, own in zip(self.queries_QD, self.excluded, strict=True)
            ]
        scored = zip(self.queries_QD, found, strict=True)
        return np.stack([best_scores(searcher.scores(query, items), self.k) for query, items in scored])


def best_scores(scores: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The k largest, best first; -inf where there are fewer.

    Args:
        scores: [..., N].
        k: how many.

    Returns:
        [..., k].
    """
    best = -np.sort(-scores, axis=-1)[..., :k]
    missing = [(0, 0)] * (scores.ndim - 1) + [(0, k - best.shape[-1])]
    return np.pad(best, missing, constant_values=-np.inf)


def _load(kept: Path | None) -> dict[str, NDArray[np.float64]]:
    """Hash -> scores; empty where the file is missing or damaged, since it only saves time."""
    content = read_checked(kept) if kept else None
    if content is None:
        return {}
    saved = from_npz_bytes(content)
    return dict(zip(saved["keys"].tolist(), saved["scores"], strict=True))
