"""Objective `ridge`: train item vectors so that ridge users, in closed form over their other items, find them.

w_u = (XᵀX + λI)⁻¹ Σ x over the user's items *outside* the batch, with the last profiles X. This is how a release
computes user profiles. X and w are constants within a step. The gradient flows through the batch's items only, so a
step encodes nothing else, however long histories are. After each epoch all items are encoded again, and w is updated.

Papers: Bertinetto et al. 2019, ICLR, "Meta-learning with differentiable closed-form solvers" (the idea; there the
solver is differentiated too); Wu et al. 2018, CVPR, "Unsupervised feature learning via non-parametric instance
discrimination" (learning against remembered vectors).
"""

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.ridge import Ridge

# Shape suffixes: U users, D dimension.


def ridge_users(b_UD: NDArray[np.floating], ridge: Ridge) -> NDArray[np.float32]:
    """User profiles, scaled to unit length, which does not change the order of a user's list.

    Args:
        b_UD: Σ x over each user's items outside the batch.
        ridge: over the last profiles of all items to learn from.

    Returns:
        w_UD; a zero row stays zero.
    """
    w_UD = ridge.weights(b_UD)
    return np.asarray(w_UD / np.maximum(np.linalg.norm(w_UD, axis=1, keepdims=True), 1e-12), np.float32)
