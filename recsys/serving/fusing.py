"""Search by words and by meaning in one list.

    score = a · BM25 / (its bound) + (1 - a) · cosine / (largest cosine) + u · (user's score) / (largest of its size)

BM25 is divided by what it cannot reach for this query: that is the share of what the query says that an item says too,
so a match of common words alone counts little. The other parts are brought to one scale over the candidates. Words find
what a profile cannot know, such as a part number or a rare name. Profiles find what is said in other words.

Source: convex combination, see Bruch, Gai & Ingber 2023, "An analysis of fusion functions for hybrid retrieval".
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Shape suffix: C candidates.
LEAST_CANDIDATES = 200
"""The best so many of each part are candidates of a short list."""
PER_PLACE = 5
"""The same for each place of a long one."""


def n_candidates(k: int) -> int:
    """How many of each part are candidates of a list of length k."""
    return max(LEAST_CANDIDATES, PER_PLACE * k)


def best_rows(rows: NDArray[np.int64], scores: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Those with the n best scores, in no order."""
    return rows if len(rows) <= n else rows[np.argpartition(-scores, n - 1)[:n]]


def fused(
    words_C: NDArray[np.floating],
    cosine_C: NDArray[np.floating],
    user_C: NDArray[np.floating] | None,
    weights: Mapping[str, float],
) -> NDArray[np.float64]:
    """The score of each candidate.

    Args:
        words_C: BM25 over its bound, in [0, 1); 0 where no word occurs.
        cosine_C: of the query's profile.
        user_C: inner products with the user's profile; None: nobody is known.
        weights: `lexical_weight` a and `user_weight` u.

    Returns:
        scores_C; where no word of the query occurs anywhere, the cosine decides alone.
    """
    share = weights["lexical_weight"] if words_C.any() else 0.0
    scores_C = share * words_C + (1 - share) * _scaled(cosine_C)
    return scores_C if user_C is None else scores_C + weights["user_weight"] * _scaled(user_C)


def _scaled(values_C: NDArray[np.floating]) -> NDArray[np.float64]:
    largest = float(np.abs(values_C).max(initial=0.0))
    return values_C.astype(np.float64) / largest if largest > 0 else np.zeros(len(values_C))
