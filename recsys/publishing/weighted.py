"""The best items of one user in a release with item weights, exactly as scoring every item would find them."""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.ranking.item_weights import UNKNOWN, ItemWeights
from recsys.retrieval.segments import PAD, SegmentSearcher

# Shape suffixes: I live items, D dimension, T known texts, C candidates.


class WeightedSearcher:
    """Profiles find candidates, item weights order them.

    Items that have weights are all scored: there are few (`fusion.max_weighted_items`). Among the other known ones, and
    among those that are new, the inner product alone decides: the index finds the best of each.
    """

    def __init__(self, searcher: SegmentSearcher, weights: ItemWeights, text_hashes: Sequence[str]) -> None:
        """Place the live items among the known texts.

        Args:
            searcher: over the live items.
            weights: of the release's encoder.
            text_hashes: of the live items' texts, in their order.
        """
        self._searcher = searcher
        self._weights = weights
        self._place_I = weights.places(text_hashes)

    def search(
        self, query_D: NDArray[np.float32], met: Sequence[int], k: int, exclude: Collection[int]
    ) -> list[tuple[int, float]]:
        """The k best items; ties go to the smaller item id.

        Args:
            query_D: the user's profile.
            met: items (positions in `Latest.item_ids`) of the user's history.
            k: length of the list.
            exclude: items that must not be in it.

        Returns:
            Items with their scores, best first; fewer where there are fewer.
        """
        weighted, others_I, new_I = self._kinds
        weighted = weighted[~np.isin(weighted, list(exclude))]
        found = list(zip(weighted.tolist(), self._corrected(query_D, met, weighted), strict=True))
        for allowed_I, factor in ((others_I, self._weights.factor), (new_I, 1.0)):
            nearest = self._searcher.search(query_D[None], k, [exclude], allowed_I)
            pairs = zip(nearest.rows_QK[0].tolist(), nearest.scores_QK[0].tolist(), strict=True)
            found += [(row, score * factor) for row, score in pairs if row != PAD]
        ids = self._searcher.latest.item_ids
        return sorted(found, key=lambda one: (-one[1], ids[one[0]]))[:k]

    def _corrected(
        self, query_D: NDArray[np.float32], met: Sequence[int], candidates: NDArray[np.int64]
    ) -> list[float]:
        known = np.unique(self._place_I[list(met)])
        known = known[known != UNKNOWN]
        shape = (1, len(self._weights.digests_T))
        met_1T = csr_array((np.ones(len(known), np.float32), (np.zeros(len(known), np.int64), known)), shape)
        scores_1C = self._searcher.scores(query_D, candidates)[None]
        corrected: list[float] = self._weights.corrected(scores_1C, met_1T, self._place_I[candidates])[
            0
        ].tolist()
        return corrected

    @cached_property
    def _kinds(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Items with weights, as rows; known ones without, and all others, as masks."""
        has_weights_T = np.zeros(len(self._weights.digests_T), bool)
        has_weights_T[self._weights.weights_TT.indices] = True
        is_new_I = self._place_I == UNKNOWN
        is_weighted_I = ~is_new_I & has_weights_T[self._place_I]
        return np.flatnonzero(is_weighted_I), ~is_new_I & ~is_weighted_I, is_new_I
