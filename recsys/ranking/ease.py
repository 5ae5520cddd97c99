"""EASE, a linear item-item model in closed form, and a variant that is regularised towards a prior.

EASE solves min |X - X B|² + λ |B|² with diag(B) = 0 (Steck 2019, Embarrassingly Shallow Autoencoders). Regularised
towards a prior B₀ instead of 0 it is min |X - X B|² + λ |B - B₀|², still with diag(B) = 0, hence

    B = P (G + λ B₀ - diag(μ)),  G = XᵀX,  P = (G + λI)⁻¹,  μ so that diag(B) = 0.
"""

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: S items of X.


def ease_weights(
    gram_SS: NDArray[np.float32] | NDArray[np.float64], prior_SS: NDArray[np.float64], ease_lambda: float
) -> NDArray[np.float64]:
    """Solve for B. With a prior of 0 this is plain EASE.

    Args:
        gram_SS: G.
        prior_SS: B₀; overwritten.
        ease_lambda: λ.

    Returns:
        B.
    """
    prior_SS *= ease_lambda
    prior_SS += gram_SS
    inverse_SS = inverse(gram_SS, ease_lambda)
    weights_SS = inverse_SS @ prior_SS
    inverse_SS *= np.diag(weights_SS) / np.diag(inverse_SS)
    weights_SS -= inverse_SS
    np.fill_diagonal(weights_SS, 0)
    return weights_SS


def prior_scale(gram_SS: NDArray[np.float32] | NDArray[np.float64], prior_SS: NDArray[np.float64]) -> float:
    """The s that minimises |X - s X B₀|²; below 0 if the prior contradicts the data, 1 if the prior is 0."""
    predicted = float((prior_SS * (gram_SS @ prior_SS)).sum())
    return float((gram_SS * prior_SS).sum()) / predicted if predicted > 0 else 1.0


def inverse(matrix_SS: NDArray[np.float32] | NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """(M + ridge I)⁻¹ of a symmetric matrix without negative eigenvalues; M is not changed."""
    from scipy.linalg import inv

    shifted_SS = matrix_SS.copy()
    shifted_SS.flat[:: len(matrix_SS) + 1] += ridge
    inverse_SS: NDArray[np.float64] = inv(shifted_SS, overwrite_a=True, assume_a="pos")
    return inverse_SS
