"""How sure a difference is that was measured on a few folds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: U users of one fold.


def lower_bound(differences: Sequence[NDArray[np.float64]], n_errors: float) -> float:
    """Mean of a paired difference over folds, less some standard errors.

    The standard error is the larger of two: that of the users within folds, and that of the folds' means. Users alone
    would call sure what one fold says and another denies.

    Args:
        differences: of every fold, one number for each user.
        n_errors: standard errors taken off.

    Returns:
        The bound; -inf where a fold has too few users to tell.
    """
    if any(len(one_U) < 2 for one_U in differences):
        return -np.inf
    means = np.array([one_U.mean() for one_U in differences])
    within = np.sqrt(sum(one_U.var(ddof=1) / len(one_U) for one_U in differences)) / len(means)
    between = means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.0
    return float(means.mean() - n_errors * max(within, between))
