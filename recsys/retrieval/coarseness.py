"""Kinds of indexes: which one a segment gets, how far the order of each is from the true one, and what it costs."""

from dataclasses import dataclass
from math import ceil, inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.params import RECALL_AT, SIGNS_FROM, WIDEST_SEARCH, IndexParams
from recsys.retrieval.sign_graph import n_compared

# Shape suffixes: D dimension, N vectors of one segment, S some of them.
MOST_IN_COMMON = 0.3
"""Where vectors have more in common than this share of their squared length, their signs tell them apart too little,
since users' queries have nothing of it. It is half where profiles have words, whose first number brings them to unit
length: of a million such titles 3,200 rows in view held .85 of users' ten best by signs, and 1,600 by 4 bits .98.
Profiles without words had .1 to .2 in common, and signs found as much as 4 bits."""
COMMON_SAMPLE = 4096
"""Vectors that are read for it, evenly spaced."""
VIEWED_MORE = 16
EXCLUDED = 1.5
"""Rows to keep in view for each one that may not be in the list, such as those of a user's history."""


@dataclass(frozen=True)
class Coarseness:
    """How far the order of a kind of index is from the true one, and what its searches cost."""

    viewed: float
    """Rows that a search keeps in view, per wanted one, and VIEWED_MORE."""
    further: int
    """Rows that a search keeps in view for each place beyond the tenth, where its width is enough for ten."""
    compared: int
    """Rows that can be compared in the time in which a walk keeps one more in view. Where no more than these are
    allowed, they are all compared instead of a walk."""
    walked_from: float
    """The graph is walked in any case where at least this share of the segment is allowed."""
    listed: int
    """Rows that such a comparison lists, for each one that a walk would keep in view, where the segment has few: they
    may all be far from the query."""
    in_place: bool
    """Where most rows are allowed, all are compared where they lie, which is cheaper than what `compared` says."""

    def n_viewed(self, k: int, n_excluded: int = 0, share: float = 1.0) -> int:
        """Rows to keep in view for a list of k without some rows, where a share of all others may be in it."""
        return ceil((self.viewed * k + EXCLUDED * n_excluded) / share) + VIEWED_MORE

    def n_needed(self, search_width: int, k: int) -> int:
        """Rows to keep in view for a list of k, where `search_width` are known to be enough for one of ten."""
        longer = search_width + self.further * max(0, k - RECALL_AT)
        return max(search_width, min(longer, WIDEST_SEARCH))

    def walks(self, n_allowed: int, share: float, viewed: int) -> bool:
        """Whether a graph is walked that keeps so many rows in view, rather than all allowed rows compared."""
        compared = n_compared(n_allowed, round(n_allowed / share)) if self.in_place else n_allowed
        return share >= self.walked_from or compared > self.compared * viewed

    def n_listed(self, n_allowed: int, viewed: int) -> int:
        """Rows that a comparison lists, where a walk would keep so many in view."""
        return (self.listed if n_allowed <= self.compared * viewed else 1) * viewed


COPIES = Coarseness(viewed=1.5, further=0, compared=10, walked_from=0.5, listed=1, in_place=False)
"""On profiles of 384 dimensions the best 166 by copies of 4 bits hold .9996 of the best 100, on wider ones all."""
SIGNS = Coarseness(viewed=16, further=10, compared=60, walked_from=inf, listed=4, in_place=True)
"""On 100,000 profiles of 1,024 dimensions .992 of the best 100 were among 525 in view; a million need three times as
many."""


def index_kind(vectors_ND: NDArray[np.float32], params: IndexParams) -> Literal["exact", "compact", "signs"]:
    """How a segment is searched.

    Args:
        vectors_ND: the segment's live vectors, unit rows; may be memory-mapped.
        params: `exact_below`.

    Returns:
        `exact` for few vectors (a graph needs one), `signs` for wide ones that have little in common, else `compact`.
    """
    if len(vectors_ND) < max(1, params.exact_below):
        return "exact"
    return "signs" if by_signs(vectors_ND) else "compact"


def by_signs(vectors_ND: NDArray[np.float32]) -> bool:
    """Whether a graph over vectors compares their signs: they are wide, and have little in common."""
    return vectors_ND.shape[1] >= SIGNS_FROM and common_share(vectors_ND) <= MOST_IN_COMMON


def common_share(vectors_ND: NDArray[np.float32]) -> float:
    """The share of unit vectors that all of them have in common: the squared length of their mean.

    Args:
        vectors_ND: rows, at least one; a sample of them is read.

    Returns:
        A share in [0, 1].
    """
    sample_SD = vectors_ND[:: -(-len(vectors_ND) // COMMON_SAMPLE)]
    return float((sample_SD.mean(axis=0, dtype=np.float64) ** 2).sum())
