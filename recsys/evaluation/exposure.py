"""Paired bootstrap of metrics over items: coverage, Gini and the worst decile's recall, challenger minus champion.

These are not means over users, so `intervals.bootstrap` cannot compute them: every resample of the users has exposures
of its own. The resamples are the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD
from recsys.ranking.intervals import Interval, resamples
from recsys.ranking.metrics import hits

# Shape suffixes: U users, K list length, R padded relevant items, B resamples, C columns (items), S statistics.
NAMES = ("coverage", "gini", "worst_decile_recall")


@dataclass(frozen=True)
class Lists:
    """The lists of one model for the users of a slice. Columns are items; items without an entry are left out."""

    n_candidates: int
    shown_UC: csr_array
    """1 where an item is in a user's list."""
    found_UC: csr_array
    """1 where a relevant item is in a user's list; the columns are those of `relevant_UC`."""
    relevant_UC: csr_array
    """1 where an item is relevant to a user."""


def lists_of(
    ranked_UK: NDArray[np.int64], relevant_UR: NDArray[np.int64], n_candidates: int, k: int
) -> Lists:
    """Turn the first k places into matrices.

    Args:
        ranked_UK: item rows, best first; PAD where the list is short.
        relevant_UR: held-out item rows; PAD on the right.
        n_candidates: items that could have been shown.
        k: cutoff.

    Returns:
        The lists.
    """
    top_UK = ranked_UK[:, :k]
    relevant = np.unique(relevant_UR[relevant_UR != PAD])
    found_UK = np.where(hits(top_UK, relevant_UR), top_UK, PAD)
    return Lists(
        n_candidates=n_candidates,
        shown_UC=_matrix(top_UK, np.unique(top_UK[top_UK != PAD])),
        found_UC=_matrix(found_UK, relevant),
        relevant_UC=_matrix(relevant_UR, relevant),
    )


def statistics(lists: Lists, drawn_BU: NDArray[np.int64]) -> NDArray[np.float64]:
    """Coverage, Gini and worst decile for every resample.

    Args:
        lists: of one model.
        drawn_BU: how often each user was drawn. A row of ones gives the figures of `evaluation.coverage`.

    Returns:
        statistics_BS in the order of NAMES; NaN where one has no value.
    """
    shown_BC = _summed(lists.shown_UC, drawn_BU)
    coverage_B = (shown_BC > 0).sum(axis=1) / max(1, lists.n_candidates)
    relevant_BC, found_BC = _summed(lists.relevant_UC, drawn_BU), _summed(lists.found_UC, drawn_BU)
    return np.stack(
        [coverage_B, _gini(shown_BC, lists.n_candidates), _worst_decile(found_BC, relevant_BC)], axis=1
    )


def paired_exposure(first: Lists, second: Lists, rounds: int, seed: int) -> dict[str, Interval]:
    """First minus second, with 95 % intervals.

    A resample repeats users, so it reaches fewer items than all users, with both models. The interval is corrected by
    this bias: the mean of the resamples minus the figure itself.

    Args:
        first: lists of one model.
        second: lists of the other for the same users and candidates.
        rounds: resamples.
        seed: of the resampling, with the same draws as in `intervals.bootstrap`.

    Returns:
        Name -> interval; a statistic without a value is left out.

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 10 (bias) and 13 (percentiles).
    """
    n_users = first.shown_UC.shape[0]
    everybody = np.ones((1, n_users), np.int64)
    difference_S = (statistics(first, everybody) - statistics(second, everybody))[0]
    drawn = [
        statistics(first, drawn_BU) - statistics(second, drawn_BU)
        for drawn_BU in resamples(n_users, rounds, seed)
    ]
    drawn_BS = np.concatenate(drawn)
    found = {}
    for place, name in enumerate(NAMES):
        value, values_B = float(difference_S[place]), drawn_BS[:, place]
        if np.isfinite(value) and np.isfinite(values_B).all():
            low, high = np.percentile(values_B, [2.5, 97.5]) - (values_B.mean() - value)
            found[name] = Interval(mean=value, low=float(low), high=float(high))
    return found


def _matrix(items_UK: NDArray[np.int64], columns: NDArray[np.int64]) -> csr_array:
    rows, places = np.nonzero(items_UK != PAD)
    where = np.searchsorted(columns, items_UK[rows, places])
    return csr_array((np.ones(len(rows)), (rows, where)), shape=(len(items_UK), len(columns)))


def _summed(matrix_UC: csr_array, drawn_BU: NDArray[np.int64]) -> NDArray[np.float64]:
    summed_CB: NDArray[np.float64] = matrix_UC.T @ drawn_BU.T.astype(np.float64)
    return np.ascontiguousarray(summed_CB.T)


def _gini(shown_BC: NDArray[np.float64], n_candidates: int) -> NDArray[np.float64]:
    """Like `coverage.gini`. Candidates that are in no list come first in the order and add nothing."""
    n_shown = shown_BC.shape[1]
    rank_C = n_candidates - n_shown + np.arange(1, n_shown + 1)
    total_B = shown_BC.sum(axis=1)
    unequal_B = np.sort(shown_BC, axis=1) @ (2.0 * rank_C - n_candidates - 1)
    return np.where(total_B > 0, unequal_B / np.maximum(n_candidates * total_B, 1), np.nan)


def _worst_decile(found_BC: NDArray[np.float64], relevant_BC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Like `coverage.worst_decile`, over the items that are relevant to a user of the resample."""
    if relevant_BC.shape[1] == 0:
        return np.full(len(relevant_BC), np.nan)
    recall_BC = np.where(relevant_BC > 0, found_BC / np.maximum(relevant_BC, 1), np.inf)
    n_worst_B = -(-(relevant_BC > 0).sum(axis=1) // 10)
    recall_BC.sort(axis=1)  # items without users come last
    is_worst_BC = np.arange(recall_BC.shape[1]) < n_worst_B[:, None]
    mean_B: NDArray[np.float64] = np.where(is_worst_BC, recall_BC, 0.0).sum(axis=1) / np.maximum(n_worst_B, 1)
    return mean_B
