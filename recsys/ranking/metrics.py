"""Ranking metrics. Pure functions: arrays in, one number per user out."""

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD

# Shape suffixes: U users, K list length, R padded relevant items; PAD fills short rows.


def hits(ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which places of each list hold a relevant item.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.

    Returns:
        hits_UK; never true under PAD.
    """
    n_items = int(max(ranked_UK.max(initial=PAD), relevant_UR.max(initial=PAD))) + 1
    user_U1 = np.arange(len(ranked_UK))[:, None] * n_items
    # One number for each (user, item) pair, so that one lookup serves all users.
    relevant = (relevant_UR + user_U1)[relevant_UR != PAD]
    hits_UK: NDArray[np.bool_] = np.isin(ranked_UK + user_U1, relevant) & (ranked_UK != PAD)
    return hits_UK


def recall_at_k(ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Share of each user's relevant items found in the first k places.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        recall_U in [0, 1]; NaN for a user with nothing relevant (never averaged in silently).

    Raises:
        ValueError: k lies outside 1..K.

    Source: Herlocker et al. 2004, ACM TOIS 22(1); the denominator is |relevant|, not min(k, |relevant|).
    """
    found_UK = hits_at_k(ranked_UK, relevant_UR, k)
    return _or_nan(relevant_UR, found_UK.sum(axis=1) / _n_relevant(relevant_UR))


def ndcg_at_k(ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Discounted gain of the first k places over that of the best possible list.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        ndcg_U in [0, 1]: gain 1 for a relevant item, discount 1 / log2(place + 1), places from 1; NaN for a user
        with nothing relevant.

    Raises:
        ValueError: k lies outside 1..K.

    Source: Järvelin & Kekäläinen 2002, ACM TOIS 20(4); the ideal list has min(k, |relevant|) hits.
    """
    found_UK = hits_at_k(ranked_UK, relevant_UR, k)
    discount_K = 1 / np.log2(np.arange(k) + 2)
    ideal_U = np.cumsum(discount_K)[np.minimum(k, _n_relevant(relevant_UR)) - 1]
    return _or_nan(relevant_UR, found_UK @ discount_K / ideal_U)


def graded_ndcg_at_k(
    ranked_UK: NDArray[np.int64],
    relevant_UR: NDArray[np.int64],
    gains_UR: NDArray[np.floating],
    k: int,
) -> NDArray[np.float64]:
    """Like `ndcg_at_k`, with graded relevance: discounted gain over that of the best possible list.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.
        gains_UR: gain of each of them, above 0; any number under PAD.
        k: cutoff, 1 <= k <= K.

    Returns:
        ndcg_U in [0, 1]: `ndcg_at_k` where all gains are equal; NaN for a user with nothing relevant.

    Raises:
        ValueError: k lies outside 1..K.

    Source: Järvelin & Kekäläinen 2002, ACM TOIS 20(4).
    """
    found_UK = hits_at_k(ranked_UK, relevant_UR, k)
    gains_UR = np.where(relevant_UR == PAD, 0.0, gains_UR)
    n_items = int(max(ranked_UK.max(initial=PAD), relevant_UR.max(initial=PAD))) + 1
    user_U1 = np.arange(len(ranked_UK))[:, None] * n_items
    keys, gains = (relevant_UR + user_U1)[relevant_UR != PAD], gains_UR[relevant_UR != PAD]
    order = np.argsort(keys)
    gained_UK = np.zeros((len(ranked_UK), k))
    gained_UK[found_UK] = gains[order][
        np.searchsorted(keys, (ranked_UK[:, :k] + user_U1)[found_UK], sorter=order)
    ]
    best_UK = -np.sort(-gains_UR, axis=1)[:, :k]
    discount_K = 1 / np.log2(np.arange(k) + 2)
    ideal_U = best_UK @ discount_K[: best_UK.shape[1]]
    return _or_nan(relevant_UR, gained_UK @ discount_K / np.where(ideal_U > 0, ideal_U, 1))


def regret_at_k(
    ranked_UK: NDArray[np.int64],
    relevant_UR: NDArray[np.int64],
    disliked_UE: NDArray[np.int64],
    k: int,
) -> NDArray[np.float64]:
    """What users are known to dislike among the first k places.

    Regret@k is the sum of the first column over that of the second: of the shown items whose opinion is known, the
    share that is disliked. So it is a mean over such items, not over users, since many lists hold none or one.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: items that the user interacted with, some of which may be disliked; PAD on the right.
        disliked_UE: disliked items; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        [U, 2], per user: disliked items shown, and shown items whose opinion is known.

    Raises:
        ValueError: k lies outside 1..K.
    """
    disliked_UK = hits_at_k(ranked_UK, disliked_UE, k)
    known_UK = hits_at_k(ranked_UK, relevant_UR, k) | disliked_UK
    return np.stack([disliked_UK.sum(axis=1), known_UK.sum(axis=1)], axis=1).astype(np.float64)


def hit_rate_at_k(
    ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """Whether a user finds anything relevant in the first k places.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        hit_U, 0 or 1; NaN for a user with nothing relevant.

    Raises:
        ValueError: k lies outside 1..K.
    """
    hit_U = np.asarray(hits_at_k(ranked_UK, relevant_UR, k).any(axis=1), np.float64)
    return _or_nan(relevant_UR, hit_U)


def mrr_at_k(ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """One over the place of the first relevant item, 0 where the first k places hold none.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        reciprocal_rank_U in [0, 1]; NaN for a user with nothing relevant.

    Raises:
        ValueError: k lies outside 1..K.

    Source: Voorhees 1999, TREC-8 question answering track.
    """
    found_UK = hits_at_k(ranked_UK, relevant_UR, k)
    reciprocal_U = np.where(found_UK.any(axis=1), 1.0 / (found_UK.argmax(axis=1) + 1), 0.0)
    return _or_nan(relevant_UR, reciprocal_U)


def hits_at_k(ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    """Find the relevant items in the first k places of each list.

    Args:
        ranked_UK: item rows, best first; PAD where the list is short.
        relevant_UR: held-out item rows; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        Mask of the places that hold one, [U, k].

    Raises:
        ValueError: k lies outside 1..K.
    """
    if not 1 <= k <= ranked_UK.shape[1]:
        raise ValueError(f"k must lie in 1..{ranked_UK.shape[1]}, got {k}")
    return hits(ranked_UK[:, :k], relevant_UR)


def _n_relevant(relevant_UR: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of relevant items, at least 1, since it is a divisor; users with none become NaN afterwards."""
    n_U: NDArray[np.int64] = np.maximum((relevant_UR != PAD).sum(axis=1), 1)
    return n_U


def _or_nan(relevant_UR: NDArray[np.int64], value_U: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.where((relevant_UR != PAD).any(axis=1), value_U, np.nan)
