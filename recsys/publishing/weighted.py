"""One user's best items in a release with item weights.

The list is the one that scoring every item would give, but for what an approximate index misses.
"""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.ranking.item_weights import UNKNOWN, ItemWeights
from recsys.retrieval.segments import PAD, SegmentSearcher

# Shape suffixes: I live items, D dimension, T known items, S live items that have weights.


class WeightedSearcher:
    """Profiles find candidates, item weights order them.

    The items that have weights are all scored: there are few (`fusion.max_weighted_items`). Among the other known ones,
    and among those that are new, the inner product alone decides, and the index finds the best of each.

    Args:
        searcher: over the live items.
        weights: of the release's encoder.
        n_items: live items that have an interaction, which the users' Gram matrix sums.
    """

    def __init__(self, searcher: SegmentSearcher, weights: ItemWeights, n_items: int) -> None:
        self._searcher = searcher
        self._weights = weights
        self._place_I = weights.places(searcher.latest.item_ids)
        self.growth = weights.growth(n_items)
        """By which λ of the ridge users must be multiplied."""

    def search(
        self, query_D: NDArray[np.float32], met: Sequence[int], k: int, exclude: Collection[int]
    ) -> list[tuple[int, float]]:
        """The k best items; ties go to the smaller item id.

        Args:
            query_D: the user's ridge profile, by a λ that was multiplied by `growth`.
            met: items (positions in `Latest.item_ids`) of the user's history.
            k: length of the list.
            exclude: items that must not be in it.

        Returns:
            Items with their scores, best first; fewer where there are fewer.
        """
        found = [one for one in self._scored(query_D, met) if one[0] not in exclude]
        for allowed_I, factor in self._by_profile:
            nearest = self._searcher.search(query_D[None], k, [exclude], allowed_I)
            pairs = zip(nearest.rows_QK[0].tolist(), nearest.scores_QK[0].tolist(), strict=True)
            found += [(row, score * factor * self.growth) for row, score in pairs if row != PAD]
        ids = self._searcher.latest.item_ids
        return sorted(found, key=lambda one: (-one[1], ids[one[0]]))[:k]

    def _scored(self, query_D: NDArray[np.float32], met: Sequence[int]) -> list[tuple[int, float]]:
        """All items that have weights, with their scores."""
        if not len(self._weighted):
            return []
        known = self._place_I[list(met)]
        known = known[known != UNKNOWN]
        shape = (1, len(self._weights.digests_T))
        met_1T = csr_array((np.ones(len(known), np.float32), (np.zeros(len(known), np.int64), known)), shape)
        # einsum, not BLAS: equal vectors get equal scores, wherever they lie
        scores_1S = np.einsum("sd,d->s", self._vectors_SD, query_D)[None] * np.float32(self.growth)
        corrected_1S = self._weights.corrected(scores_1S, met_1T, self._place_I[self._weighted])
        return list(zip(self._weighted.tolist(), corrected_1S[0].tolist(), strict=True))

    @cached_property
    def _weighted(self) -> NDArray[np.int64]:
        """Live items that have weights."""
        has_weights_T = np.zeros(len(self._weights.digests_T), bool)
        has_weights_T[self._weights.weights_TT.indices] = True
        return np.flatnonzero((self._place_I != UNKNOWN) & has_weights_T[self._place_I])

    @cached_property
    def _by_profile(self) -> list[tuple[NDArray[np.bool_], float]]:
        """All other items, as masks, by the factor of their scores: known ones share one, new ones have 1."""
        is_plain_I = self._place_I != UNKNOWN
        is_plain_I[self._weighted] = False
        factor_I = np.where(self._place_I == UNKNOWN, 1, self._weights.factor_T[self._place_I])
        kinds = [(is_plain_I & (factor_I == one), float(one)) for one in np.unique(factor_I[is_plain_I])]
        return [*kinds, (self._place_I == UNKNOWN, 1.0)]

    @cached_property
    def _vectors_SD(self) -> NDArray[np.float32]:
        """Gathered once: they are read by every list."""
        return self._searcher.vectors_of(self._weighted)
