"""Compare two choices by the figures of the same users on the same folds."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.validation.bounds import lower_bound

Compared = TypeVar("Compared")
# Shape suffixes: U users of a fold.
Figures = list[NDArray[np.float64]]
"""For each fold, ndcg@k and recall@(LONG k) of its users, [U, 2]."""


def gain(one: Figures, other: Figures, with_recall: bool, n_errors: float) -> float:
    """Lower bound of the paired difference, see `lower_bound`.

    Args:
        one: figures of the one choice.
        other: figures of the other, of the same users.
        with_recall: whether ndcg and recall are summed; else ndcg alone.
        n_errors: standard errors to subtract.

    Returns:
        The bound; above 0 where the one choice is better.
    """
    return lower_bound(_differences(one, other, with_recall), n_errors)


def gain_by_users(one: Figures, other: Figures, n_errors: float) -> float:
    """Lower bound of the paired difference in ndcg plus recall, over users alone.

    Folds of different kinds hold out different items, so a choice may help in one and matter little in another. That is
    no reason to reject it, as long as no fold is surely worse. `gain` is stricter: it counts every difference between
    folds as uncertainty.

    Errors of folds are added as if they were independent. They are not entirely, since folds share users; but folds
    hold out different items, so lists of one user in two folds have no item in common. If the errors of F folds were
    fully correlated, the error of the mean would be up to sqrt(F) times as large.

    Args:
        one: figures of the one choice.
        other: figures of the other, of the same users.
        n_errors: standard errors to subtract.

    Returns:
        The bound; -inf where some fold is surely worse, or has too few users.
    """
    differences = _differences(one, other, with_recall=True)
    if any(lower_bound([-one_U], n_errors) > 0 or len(one_U) < 2 for one_U in differences):
        return -np.inf
    errors = np.array([one_U.std(ddof=1) / np.sqrt(len(one_U)) for one_U in differences])
    means = np.array([one_U.mean() for one_U in differences])
    return float(means.mean() - n_errors * np.sqrt((errors**2).sum()) / len(means))


def surest_gain(
    found: Mapping[Compared, Figures], over: Figures, n_errors: float
) -> tuple[float, Compared] | None:
    """The choice that is most surely better than another, see `gain_by_users`.

    Args:
        found: figures of choices.
        over: figures of the other.
        n_errors: standard errors to subtract.

    Returns:
        Its lower bound, above 0, and the choice, of equal ones the first; None where none is surely better.
    """
    bounds = [(gain_by_users(figures, over, n_errors), choice) for choice, figures in found.items()]
    return max((one for one in bounds if one[0] > 0), key=lambda one: one[0], default=None)


def mean_ndcg(figures: Figures) -> float:
    """Mean over folds of the means over users."""
    return float(np.mean([figures_U2[:, 0].mean() for figures_U2 in figures]))


def _differences(one: Figures, other: Figures, with_recall: bool) -> Sequence[NDArray[np.float64]]:
    pairs = [a_U2 - b_U2 for a_U2, b_U2 in zip(one, other, strict=True)]
    return [d_U2.sum(axis=1) if with_recall else d_U2[:, 0] for d_U2 in pairs]
