"""Maximal marginal relevance: a list whose items are good and unlike each other.

Paper: Carbonell & Goldstein 1998. Items are taken one by one; the next is the one with the largest

    (1 - diversity) · relevance  -  diversity · (largest cosine to an item taken before)

Relevance is the score, brought to [0, 1] over the pool, so that one `diversity` means the same for every user.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N pool, D dimension.
POOL = 10
"""Size of the pool, in multiples of the list's length."""


def diversified(
    scores_N: Sequence[float], vectors_ND: NDArray[np.floating], k: int, diversity: float
) -> list[int]:
    """Choose k of a pool.

    Args:
        scores_N: best first.
        vectors_ND: unit vectors, whose inner products say how alike items are; zeros are unlike all.
        k: how many.
        diversity: in [0, 1].

    Returns:
        Places in the pool, in the order of the list; ties go to the better score.
    """
    relevance_N = np.asarray(scores_N, np.float64)
    span = float(np.ptp(relevance_N)) if len(relevance_N) else 0.0
    relevance_N = (relevance_N - relevance_N.min()) / span if span else np.ones(len(relevance_N))
    nearest_N = np.zeros(len(relevance_N))
    left_N = np.ones(len(relevance_N), np.bool_)
    chosen: list[int] = []
    while len(chosen) < min(k, len(relevance_N)):
        value_N = (1 - diversity) * relevance_N - diversity * nearest_N
        best = int(np.argmax(np.where(left_N, value_N, -np.inf)))
        chosen.append(best)
        left_N[best] = False
        nearest_N = np.maximum(nearest_N, vectors_ND @ vectors_ND[best])
    return chosen
