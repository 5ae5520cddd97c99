"""Objective `mean`: two towers, where a user is the mean of the last profiles of their other items.

Paper: Covington et al. 2016, RecSys, "Deep neural networks for YouTube recommendations" (mean of the history,
softmax over items). The history's vectors are those of the last epoch, without gradient; `pairs` has the gradient
on both sides.
"""

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: U users, D dimension.


def mean_users(b_UD: NDArray[np.floating]) -> NDArray[np.float32]:
    """Users as means, scaled to unit length.

    Args:
        b_UD: Σ x over each user's items outside the batch.

    Returns:
        w_UD; a zero row stays zero.
    """
    return np.asarray(b_UD / np.maximum(np.linalg.norm(b_UD, axis=1, keepdims=True), 1e-12), np.float32)
