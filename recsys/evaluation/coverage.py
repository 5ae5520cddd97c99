"""Metrics over candidates: coverage, Gini of exposure, and recall by item."""

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD
from recsys.ranking.metrics import hits_at_k

# Shape suffixes: U users, K list length, R padded relevant items, C candidates.


def exposure_at_k(ranked_UK: NDArray[np.int64], candidates: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """In how many users' first k places each candidate is.

    Args:
        ranked_UK: item rows, best first; PAD where the list is short.
        candidates: item rows, ascending; every listed item is one of them.
        k: cutoff, 1 <= k <= K.

    Returns:
        exposure_C.

    Raises:
        ValueError: k lies outside 1..K, or a listed item is not a candidate.
    """
    if not 1 <= k <= ranked_UK.shape[1]:
        raise ValueError(f"k must lie in 1..{ranked_UK.shape[1]}, got {k}")
    shown = ranked_UK[:, :k][ranked_UK[:, :k] != PAD]
    strangers = np.setdiff1d(shown, candidates)
    if len(strangers):
        raise ValueError(f"item row {strangers[0]} was listed but is not a candidate")
    return np.bincount(np.searchsorted(candidates, shown), minlength=len(candidates))


def coverage(exposure_C: NDArray[np.int64]) -> float:
    """Share of the candidates that are in at least one list; NaN without candidates."""
    return float((exposure_C > 0).mean()) if len(exposure_C) else float("nan")


def gini(exposure_C: NDArray[np.int64]) -> float:
    """Inequality of exposure: 0 where all candidates are shown equally often, near 1 where one is shown always.

    Args:
        exposure_C: how often each candidate is shown.

    Returns:
        Σ (2i - n - 1) e_i / (n Σ e_i) over exposures in ascending order; NaN where nothing was shown.

    Source: Gini 1912; formula as in Fleder & Hosanagar 2009, Management Science 55(5).
    """
    n, total = len(exposure_C), int(exposure_C.sum())
    if total == 0:
        return float("nan")
    weights = 2 * np.arange(1, n + 1) - n - 1
    return float((weights * np.sort(exposure_C)).sum() / (n * total))


def item_recall_at_k(
    ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    """For every relevant item, the share of its users who find it in the first k places.

    Args:
        ranked_UK: item rows, best first, no repeats in a row; PAD where the list is short.
        relevant_UR: held-out item rows, no repeats; PAD on the right.
        k: cutoff, 1 <= k <= K.

    Returns:
        One number per relevant item, ascending by item row.

    Raises:
        ValueError: k lies outside 1..K.
    """
    relevant = relevant_UR[relevant_UR != PAD]
    found = ranked_UK[:, :k][hits_at_k(ranked_UK, relevant_UR, k)]
    n_items = int(relevant.max(initial=PAD)) + 1
    n_relevant, n_found = (np.bincount(rows, minlength=n_items) for rows in (relevant, found))
    return n_found[n_relevant > 0] / n_relevant[n_relevant > 0]


def worst_decile(item_recall: NDArray[np.float64]) -> float:
    """Mean recall of the worst tenth of the items (at least one item); NaN without items."""
    n = -(-len(item_recall) // 10)
    return float(np.sort(item_recall)[:n].mean()) if n else float("nan")
