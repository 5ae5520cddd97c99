"""Estimate how large a kernel can be learned in a given time. It counts operations, so it is reproducible."""

from recsys.heads.params import FusionParams

FLOPS_PER_S = 4e10
"""Floating-point operations per second of two cores in float32, a cautious estimate: CiteULike H beside citations took
3.5e13 of them in 1,076 s on one core."""
STEP = 0.9


def within(
    seconds: float, n_warm: int, n_users: int, n_folds: int, params: FusionParams, n_views: int = 0
) -> FusionParams:
    """Lower the number of landmarks and users until choosing and learning fit into the time.

    Args:
        seconds: time on two cores.
        n_warm: warm items.
        n_users: users.
        n_folds: folds on which validation tries every lexical share, and separate words.
        params: section `fusion`.
        n_views: views of the dataset; validation tries each with every weight above 0, for two kernels, and all but one
            a second time beside the others.

    Returns:
        The section with `max_landmarks` and `max_users` lowered as needed, never below 2.
    """
    landmarks, users = min(params.max_landmarks, max(2, n_warm)), min(params.max_users, max(2, n_users))
    heads = len(params.lexical_shares) + (params.apart_width > 0)
    heads += 2 * max(0, 2 * n_views - 1) * sum(weight > 0 for weight in params.view_weights)
    rounds = n_folds * heads + 1
    while (
        rounds * _flops(landmarks, users, params.width) > seconds * FLOPS_PER_S and max(landmarks, users) > 2
    ):
        landmarks, users = max(2, int(landmarks * STEP)), max(2, int(users * STEP))
    return params.model_copy(update={"max_landmarks": landmarks, "max_users": users})


def _flops(landmarks: int, users: int, width: int) -> float:
    """Operations of Cholesky, two triangular solves, products of the users' functions, and randomised eigenvectors."""
    return landmarks**3 / 3 + 2 * landmarks**2 * users + 2 * landmarks * users**2 + 16 * users**2 * width
