"""Metrics of predicted events: how well probabilities order pairs, and how well they are calibrated."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

# Shape suffixes: N pairs, B bins.
ECE_BINS = 15
"""Bins of `calibration_error`, each with the same number of pairs."""
LEAST = 1e-12
"""Distance that probabilities keep from 0 and 1 before logarithms are taken."""


def auc(score_N: NDArray[np.floating], is_event_N: NDArray[np.bool_]) -> float:
    """Probability that a pair with the event scores higher than one without; half where they score the same.

    Args:
        score_N: any scores.
        is_event_N: what happened.

    Returns:
        In [0, 1]; NaN where only one outcome is there.

    Source: Mann & Whitney 1947; Hanley & McNeil 1982, Radiology 143(1).
    """
    n_events, n_others = int(is_event_N.sum()), int((~is_event_N).sum())
    if not n_events or not n_others:
        return float("nan")
    ranks_N = rankdata(score_N)
    return float((ranks_N[is_event_N].sum() - n_events * (n_events + 1) / 2) / (n_events * n_others))


def grouped_auc(
    score_N: NDArray[np.floating], is_event_N: NDArray[np.bool_], group_N: NDArray[np.integer]
) -> float:
    """AUC within each user, averaged with the user's number of pairs as weight.

    Args:
        score_N: any scores.
        is_event_N: what happened.
        group_N: whose pair it is.

    Returns:
        In [0, 1]; users with only one outcome do not count; NaN where no user has both.

    Source: GAUC, Zhu et al. 2017, Optimized Cost per Click in Taobao Display Advertising (KDD).
    """
    order = np.argsort(group_N, kind="stable")
    starts = np.flatnonzero(np.diff(group_N[order], prepend=np.nan))
    parts = np.split(order, starts[1:])
    found = np.array([(auc(score_N[part], is_event_N[part]), len(part)) for part in parts if len(part)])
    known = found[np.isfinite(found[:, 0])] if len(found) else np.empty((0, 2))
    return float(np.average(known[:, 0], weights=known[:, 1])) if len(known) else float("nan")


def log_loss(probability_N: NDArray[np.floating], is_event_N: NDArray[np.bool_]) -> float:
    """Mean cross-entropy in nats; NaN without pairs."""
    if not len(probability_N):
        return float("nan")
    bounded_N = np.clip(probability_N.astype(np.float64), LEAST, 1 - LEAST)
    return float(-np.where(is_event_N, np.log(bounded_N), np.log1p(-bounded_N)).mean())


def calibration_error(
    probability_N: NDArray[np.floating], is_event_N: NDArray[np.bool_], n_bins: int = ECE_BINS
) -> float:
    """Expected calibration error: |mean probability - share of events|, averaged over bins of equally many pairs.

    Args:
        probability_N: predicted.
        is_event_N: what happened.
        n_bins: bins, at least 1; fewer where there are fewer pairs.

    Returns:
        In [0, 1], weighted by the pairs of a bin; NaN without pairs.

    Source: Naeini, Cooper & Hauskrecht 2015 (AAAI), with bins of equal mass (Nguyen & O'Connor 2015, EMNLP): of
        rare events bins of equal width would hold nearly all pairs in one.
    """
    if not len(probability_N):
        return float("nan")
    order = np.argsort(probability_N, kind="stable")
    bins = np.array_split(order, min(n_bins, len(order)))
    gaps_B = [abs(float(probability_N[one].mean() - is_event_N[one].mean())) for one in bins]
    return float(np.average(gaps_B, weights=[len(one) for one in bins]))


def precision_recall_f1(
    hits_UK: NDArray[np.bool_], n_relevant_U: NDArray[np.integer]
) -> tuple[float, float, float]:
    """Precision, recall and F1 of lists of K places, each the mean over users with something relevant.

    Args:
        hits_UK: which places hold a relevant item.
        n_relevant_U: relevant items of each user.

    Returns:
        The three means; NaN where nobody has anything relevant.
    """
    has_U = n_relevant_U > 0
    if not has_U.any():
        return (float("nan"),) * 3
    n_hits_U, n_relevant_U = hits_UK[has_U].sum(axis=1), n_relevant_U[has_U]
    precision_U, recall_U = n_hits_U / hits_UK.shape[1], n_hits_U / n_relevant_U
    f1_U = 2 * n_hits_U / (hits_UK.shape[1] + n_relevant_U)
    return float(precision_U.mean()), float(recall_U.mean()), float(f1_U.mean())
