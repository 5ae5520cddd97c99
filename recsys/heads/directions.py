"""Find the directions of the kernel's space along which users differ: reduced-rank kernel ridge regression.

With R the (smoothed) histories of users over M landmarks and K their kernel, kernel ridge gives every user a function
f_u(x) = l_u · k(x), L = R (K + λI)⁻¹. All functions are scaled to one length, so that every user counts once. The
leading eigenvectors of their inner products S L K Lᵀ S span the D directions that explain most of them. The eigenvalues
are also an empirical prior of a user's weights along these directions. Profiles stretched by eigenvalue**(p/2) thus
give ridge regression this prior, which helps it to learn from short histories.

Papers: Mukherjee & Zhu 2011, Reduced Rank Ridge Regression and Its Kernel Extensions; Rasmussen & Williams 2006, ch. 2
(ridge as a Gaussian prior).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.errors import TrainingError

# Shape suffixes: U users, M landmarks, D directions.
RANK_TOLERANCE = 1e-6
EXACT_FROM = 1.5
"""Below this many users per direction all eigenvectors are computed."""
BLOCK_USERS = 512
"""Users whose functions are evaluated at once; bounds memory."""


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions of the kernel's space, the most important first."""

    axes_MD: NDArray[np.float32]
    """k(x) · axes = coordinates of x."""
    need_D: NDArray[np.float32]
    """Eigenvalues, relative to the largest: in (0, 1], descending."""

    def stretch(self, power: float) -> NDArray[np.float32]:
        """Factor of each direction, [D]."""
        return self.need_D ** np.float32(power / 2)


def find_directions(
    kernel_MM: NDArray[np.float32],
    tastes_UM: NDArray[np.float32],
    kernel_lambda: float,
    width: int,
    seed: int,
) -> Directions:
    """Find the directions that explain most of the users' functions.

    Args:
        kernel_MM: the landmarks' kernel; overwritten, and let go if the caller keeps no reference.
        tastes_UM: R, histories of users over the landmarks; users without a history are left out.
        kernel_lambda: λ > 0.
        width: the most directions; there are fewer where users or landmarks span fewer.
        seed: of the randomised eigenvectors.

    Returns:
        The directions.

    Raises:
        TrainingError: the kernel is not finite, or there is no interaction.
    """
    from scipy.linalg import cho_factor, cho_solve

    tastes_UM = tastes_UM[(tastes_UM != 0).any(axis=1)]  # a copy, which is overwritten
    if len(tastes_UM) == 0:
        raise TrainingError("fusion: no user interacted with a landmark", remedy="land interactions")
    kernel_MM.flat[:: len(kernel_MM) + 1] += np.float32(kernel_lambda)
    try:
        # transposed: LAPACK works in place on columns; the kernel is symmetric
        factor = cho_factor(kernel_MM.T, lower=True, overwrite_a=True, check_finite=True)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise TrainingError(
            f"fusion: the kernel cannot be inverted: {error}", remedy="raise kernel_lambda"
        ) from error
    weights_UM = np.ascontiguousarray(cho_solve(factor, tastes_UM.T, check_finite=False).T)
    del kernel_MM, factor  # at most three matrices of this size are in memory at once
    # L K = R - λ L, because L (K + λI) = R
    carried_UM = tastes_UM
    for start in range(0, len(carried_UM), BLOCK_USERS):
        part = slice(start, start + BLOCK_USERS)
        carried_UM[part] -= np.float32(kernel_lambda) * weights_UM[part]
    products_UU = carried_UM @ weights_UM.T
    products_UU = (products_UU + products_UU.T) / 2
    lengths_U = np.sqrt(np.maximum(products_UU.diagonal(), np.finfo(np.float32).tiny))
    products_UU /= lengths_U[:, None] * lengths_U[None, :]
    values_D, vectors_UD = _leading(products_UU, min(width, *weights_UM.shape), seed)
    real = values_D > RANK_TOLERANCE * values_D[0]
    values_D, vectors_UD = values_D[real], vectors_UD[:, real]
    mix_UD = vectors_UD / np.sqrt(values_D) / lengths_U[:, None]
    return Directions(
        (weights_UM.T @ mix_UD).astype(np.float32),
        (values_D / values_D[0]).astype(np.float32),
    )


def own_directions(kernel_MM: NDArray[np.float32], width: int, seed: int) -> Directions:
    """Find the directions along which the landmarks differ most, without looking at users.

    Args:
        kernel_MM: the landmarks' kernel.
        width: the most directions; there are fewer where landmarks span fewer.
        seed: of the randomised eigenvectors.

    Returns:
        The directions.

    Paper: Schölkopf, Smola & Müller 1998, Nonlinear Component Analysis as a Kernel Eigenvalue Problem; not centred.
    """
    values_D, vectors_MD = _leading(kernel_MM, min(width, len(kernel_MM)), seed)
    real = values_D > RANK_TOLERANCE * values_D[0]
    values_D, vectors_MD = values_D[real], vectors_MD[:, real]
    return Directions(
        (vectors_MD / np.sqrt(values_D)).astype(np.float32), (values_D / values_D[0]).astype(np.float32)
    )


def _leading(
    products_UU: NDArray[np.float32], width: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Largest eigenvalues with their vectors, in descending order: exact where nearly all are needed, else randomised.

    Paper: Halko, Martinsson & Tropp 2011. On 4,000 users it is many times as fast as LAPACK. Only the last directions
    differ, and they hardly matter.
    """
    from sklearn.utils.extmath import randomized_svd

    if width * EXACT_FROM >= len(products_UU):
        values, vectors = np.linalg.eigh(products_UU)
        return values[::-1][:width], vectors[:, ::-1][:, :width]
    vectors, values, _ = randomized_svd(
        products_UU,
        width,
        n_oversamples=width // 8 + 10,
        n_iter=4,
        random_state=seed,
        svd_lapack_driver="gesdd",
    )
    return values, vectors
