"""Platt scaling: probabilities from scores, by a logistic curve that rises with the score.

Source: Platt 1999, Probabilistic outputs for support vector machines, with its smoothed targets, which keep a few
examples from producing probabilities of 0 or 1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

# Shape suffixes: N examples.
LEAST_SLOPE = 1e-3
"""The curve always rises, so calibration never reorders a list."""


def platt(
    score_N: NDArray[np.float64], is_one_N: NDArray[np.bool_], weight_N: NDArray[np.float64]
) -> tuple[float, float]:
    """Fit P(1) = σ(a score + b) by weighted cross-entropy.

    Args:
        score_N: logits.
        is_one_N: outcomes.
        weight_N: how many examples each stands for, above 0.

    Returns:
        a >= LEAST_SLOPE and b; 1 and 0, which change nothing, where only one outcome is there.
    """
    ones, zeros = float(weight_N[is_one_N].sum()), float(weight_N[~is_one_N].sum())
    if not ones or not zeros:
        return 1.0, 0.0
    target_N = np.where(is_one_N, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    share_N = weight_N / weight_N.sum()

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        raw_N = at[0] * score_N + at[1]
        cross_entropy = float(share_N @ (np.logaddexp(0, raw_N) - target_N * raw_N))
        error_N = share_N * (expit(raw_N) - target_N)
        return cross_entropy, np.array([error_N @ score_N, error_N.sum()])

    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(LEAST_SLOPE, None), (None, None)]
    )
    return float(found.x[0]), float(found.x[1])
