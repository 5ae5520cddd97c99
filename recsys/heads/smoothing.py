"""Smooth histories with collaborative factors: they predict items that users of similar taste interacted with.

Paper: Hu, Koren & Volinsky 2008, Collaborative Filtering for Implicit Feedback Datasets (ALS, by `implicit`).
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from recsys.heads.params import FusionParams

# Shape suffixes: U users, M landmarks, F factors.


def smoothed(histories_UM: csr_array, users: NDArray[np.int64], params: FusionParams) -> NDArray[np.float32]:
    """Histories plus the predictions of ALS, which is learned from all histories.

    Args:
        histories_UM: 1 where a user interacted with an item.
        users: rows to return.
        params: section `fusion`; `smoothing` weighs the prediction.

    Returns:
        float32 [len(users), M], dense.
    """
    wanted: NDArray[np.float32] = histories_UM[users].toarray().astype(np.float32)
    if params.smoothing == 0:
        return wanted
    factors_UF, factors_MF = _als(histories_UM, params)
    wanted += np.float32(params.smoothing) * (factors_UF[users] @ factors_MF.T)
    return wanted


def _als(histories_UM: csr_array, params: FusionParams) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    factors = n_factors(params.max_factors, histories_UM.shape, params)
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):  # implicit starts threads itself
        warnings.simplefilter("ignore")
        model = AlternatingLeastSquares(
            factors=factors,
            alpha=params.als_alpha,
            regularization=params.als_regularization,
            iterations=params.als_iterations,
            random_state=params.seed,
            use_gpu=False,
        )
        model.fit(csr_matrix(histories_UM.astype(np.float32)), show_progress=False)
    return np.asarray(model.user_factors), np.asarray(model.item_factors)


def n_factors(most: int, shape: tuple[int, int], params: FusionParams) -> int:
    """How many factors a matrix of this shape supports."""
    n_users, n_items = shape
    return max(1, min(most, n_items // params.items_per_factor, n_users - 1))
