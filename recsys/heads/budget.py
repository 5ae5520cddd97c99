"""How large a kernel may be learned in a given time; counted, not clocked, so that the answer is the same each time."""

from recsys.heads.params import FusionParams

FLOPS_PER_S = 2e10
"""Sustained by two cores in float32, cautiously."""
WIDTH = 1024
STEP = 0.9


def within(seconds: float, n_warm: int, n_users: int, n_folds: int, params: FusionParams) -> FusionParams:
    """Fewer landmarks and users, where trying and learning would take longer than that.

    Args:
        seconds: of two cores.
        n_warm: warm items.
        n_users: users.
        n_folds: cold starts that validation tries every lexical share on, and words apart beside no share.
        params: section `fusion`.

    Returns:
        The same section with `max_landmarks` and `max_users` lowered as far as needed, never below 2.
    """
    landmarks, users = min(params.max_landmarks, max(2, n_warm)), min(params.max_users, max(2, n_users))
    rounds = n_folds * (len(params.lexical_shares) + (params.apart_width > 0)) + 1
    while rounds * _flops(landmarks, users) > seconds * FLOPS_PER_S and max(landmarks, users) > 2:
        landmarks, users = max(2, int(landmarks * STEP)), max(2, int(users * STEP))
    return params.model_copy(update={"max_landmarks": landmarks, "max_users": users})


def _flops(landmarks: int, users: int) -> float:
    """Cholesky, two triangular solves, products of the functions, randomised eigenvectors."""
    return landmarks**3 / 3 + 2 * landmarks**2 * users + 2 * landmarks * users**2 + 16 * users**2 * WIDTH
