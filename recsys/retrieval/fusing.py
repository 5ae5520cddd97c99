"""Search by words and by meaning in one list.

    score = a · words + (1 - a) · meaning + u · user

    words      BM25 over the most that the query can give, over the largest such share among the candidates
    meaning    cosine of the query's profile, over the largest size of one
    user       inner product with the user's profile, over the largest size of one; only where somebody is known

Each part is brought to one scale over the candidates. Words find what a profile cannot know, such as a part number or a
rare name. Profiles find what is said in other words. At a = 1/2 the item that holds most of a query's words comes
before every item that holds none of them. Where no item holds more than a tenth of what the query says, words count
less; where none holds a word, meaning decides alone.

A score orders one list, and scores of two queries do not compare. `probabilities` makes shares of them that do.

Source: convex combination with each part over its largest value, see Bruch, Gai & Ingber 2023, "An analysis of fusion
functions for hybrid retrieval". `python -m bench.search` measures it.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

# Shape suffix: C candidates.
LEAST_CANDIDATES = 200
"""Candidates of each part for a short list: its best ones."""
PER_PLACE = 5
"""Candidates of each part per place of a long list."""
LEAST_SHARE = 0.1
"""Where no item holds a larger share of what the query says, words count less: all that matched are common ones."""


def n_candidates(k: int) -> int:
    """Number of candidates that each part contributes to a list of length k."""
    return max(LEAST_CANDIDATES, PER_PLACE * k)


def best_rows(rows: NDArray[np.int64], scores: NDArray[np.floating], n: int) -> NDArray[np.int64]:
    """Rows of the n best scores, in their order; where scores at the edge are equal, the first ones."""
    if len(rows) <= n:
        return rows
    last = np.partition(scores, len(scores) - n)[len(scores) - n]
    is_best, equal = scores > last, np.flatnonzero(scores == last)
    is_best[equal[: n - int(is_best.sum())]] = True
    best: NDArray[np.int64] = rows[is_best]
    return best


def fused(
    words_C: NDArray[np.floating],
    cosine_C: NDArray[np.floating],
    user_C: NDArray[np.floating] | None,
    weights: Mapping[str, float],
) -> NDArray[np.float64]:
    """The score of each candidate.

    Args:
        words_C: BM25 over its bound (`LexicalIndex.shares`), in [0, 1); 0 where no word occurs.
        cosine_C: of the query's profile.
        user_C: inner products with the user's profile; None: nobody is known.
        weights: `lexical_weight` a and `user_weight` u.

    Returns:
        scores_C; where no word of the query occurs anywhere, the cosine decides alone.
    """
    share = weights["lexical_weight"] if words_C.any() else 0.0
    scores_C = share * _scaled(words_C, LEAST_SHARE) + (1 - share) * _scaled(cosine_C)
    return scores_C if user_C is None else scores_C + weights["user_weight"] * _scaled(user_C)


def possible_best(
    words_C: NDArray[np.floating],
    cosine_C: NDArray[np.float64],
    off_C: NDArray[np.float64],
    weights: Mapping[str, float],
    k: int,
) -> NDArray[np.bool_]:
    """Which candidates can be among the k best, where cosines are known within bounds: none of the best is missing.

    Args:
        words_C: as in `fused`.
        cosine_C: estimates; the largest of them is exact.
        off_C: by how much each may be off.
        weights: as in `fused`.
        k: length of the list.

    Returns:
        A mask, [C].
    """
    scores_C = fused(words_C, cosine_C, None, weights)
    share = weights["lexical_weight"] if words_C.any() else 0.0
    off_C = off_C * ((1 - share) / (np.abs(cosine_C).max(initial=0.0) or 1.0))
    if len(scores_C) <= k:
        return np.ones(len(scores_C), np.bool_)
    surely_C = scores_C - off_C
    may_be_C: NDArray[np.bool_] = (
        scores_C + off_C >= np.partition(surely_C, len(surely_C) - k)[len(surely_C) - k]
    )
    return may_be_C


def probabilities(scores_C: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """P(item | query, candidates): how likely each candidate is the item that the query looks for, if one of them is.

    Args:
        scores_C: of all candidates, by `fused`.
        temperature: above 0, chosen on queries whose items are known, see `recsys/validation/temperature.py`.

    Returns:
        exp(score / T), over its sum.
    """
    odds_C = np.exp((scores_C - scores_C.max(initial=-np.inf)) / temperature)
    found_C: NDArray[np.float64] = odds_C / odds_C.sum()
    return found_C


def _scaled(values_C: NDArray[np.floating], least: float = 0.0) -> NDArray[np.float64]:
    """Values over the largest of their sizes, or over `least` where that is more."""
    largest = max(float(np.abs(values_C).max(initial=0.0)), least)
    return values_C.astype(np.float64) / largest if largest > 0 else np.zeros(len(values_C))
