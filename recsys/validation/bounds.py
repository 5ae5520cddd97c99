"""A lower confidence bound for a difference that was measured on a few folds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: U users of one fold.


def lower_bound(differences: Sequence[NDArray[np.float64]], n_errors: float) -> float:
    """Mean of a paired difference over folds, minus some standard errors.

    The standard error is the larger of two: over the users within folds, and over the folds' means. With the former
    alone, a difference could count as certain although two folds contradict each other.

    Args:
        differences: for each fold, one number per user.
        n_errors: standard errors to subtract.

    Returns:
        The bound; -inf where a fold has too few users.
    """
    if any(len(one_U) < 2 for one_U in differences):
        return -np.inf
    means = np.array([one_U.mean() for one_U in differences])
    within = np.sqrt(sum(one_U.var(ddof=1) / len(one_U) for one_U in differences)) / len(means)
    between = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.0
    return float(means.mean() - n_errors * max(within, between))
