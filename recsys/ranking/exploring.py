"""Exploration policies: they turn uncertain scores of new items into probabilities of being chosen.

A user's profile is the mean of a Bayesian linear regression: w ~ N(A⁻¹b, σ² A⁻¹) with A = XᵀX + λI. So the score of an
item with profile x is normal, with mean w·x and standard deviation σ √(xᵀA⁻¹x). The latter is large for items that are
unlike all items with interactions.

Each policy gives every candidate a probability, and the choice is drawn from these probabilities. So the logged
propensities are exact, even where a policy only approximates its method.

Sources: Thompson sampling, Agrawal & Goyal 2013, ICML; LinUCB, Li, Chu, Langford & Schapire 2010, WWW. Both state one
model per arm or for all arms; here it is one per user, with the A that all users share.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

# Shape suffixes: C candidates, Z nodes of an integral.
NODE_Z, WEIGHT_Z = np.polynomial.legendre.leggauss(200)
REACH = 6.0
"""The integral reaches so many standard deviations beyond the best candidates."""
LEAST_DEVIATION = 1e-2
"""Share of the largest standard deviation. Smaller deviations are raised to it, since the quadrature would miss so
narrow a peak."""


def thompson(mean_C: NDArray[np.floating], deviation_C: NDArray[np.floating]) -> NDArray[np.float64]:
    """The probability that each candidate's score is the best of all, if each is drawn from its own distribution.

    The draws are independent (marginal Thompson sampling). Drawing one w for all candidates would correlate them, and
    its probabilities could be known by simulation only. P(i is best) = ∫ f_i(z) Π over j≠i of F_j(z) dz is found by
    Gauss-Legendre quadrature instead.

    Args:
        mean_C: expected scores.
        deviation_C: their standard deviations, above 0.

    Returns:
        probability_C, which sums to 1.
    """
    mean_C = mean_C.astype(np.float64)
    deviation_C = np.maximum(deviation_C.astype(np.float64), LEAST_DEVIATION * deviation_C.max())
    low, high = (mean_C - REACH * deviation_C).max(), (mean_C + REACH * deviation_C).max()
    z_Z = low + (high - low) * (NODE_Z + 1) / 2
    standard_ZC = (z_Z[:, None] - mean_C) / deviation_C
    below_ZC = log_ndtr(standard_ZC)
    log_ZC = -0.5 * standard_ZC**2 - np.log(deviation_C) + below_ZC.sum(axis=1, keepdims=True) - below_ZC
    best_C = WEIGHT_Z @ np.exp(log_ZC - log_ZC.max())
    return np.asarray(best_C / best_C.sum())


def linucb(mean_C: NDArray[np.floating], deviation_C: NDArray[np.floating]) -> NDArray[np.float64]:
    """The candidate with the largest mean plus standard deviation; σ is the α of the paper. Ties go to the first."""
    return _one(len(mean_C), int(np.argmax(mean_C + deviation_C)))


def greedy(mean_C: NDArray[np.floating], _deviation_C: NDArray[np.floating]) -> NDArray[np.float64]:
    """The candidate with the largest mean. Ties go to the first."""
    return _one(len(mean_C), int(np.argmax(mean_C)))


def uniform(mean_C: NDArray[np.floating], _deviation_C: NDArray[np.floating]) -> NDArray[np.float64]:
    """All candidates alike."""
    return np.full(len(mean_C), 1 / len(mean_C))


POLICIES: dict[str, Callable[[NDArray[np.floating], NDArray[np.floating]], NDArray[np.float64]]] = {
    "thompson": thompson,
    "linucb": linucb,
    "greedy": greedy,
    "uniform": uniform,
}
"""Name -> policy. A policy turns means and standard deviations of at least one candidate into probabilities."""


def choice_probabilities(
    policy: str, mean_C: NDArray[np.floating], deviation_C: NDArray[np.floating], uniform_share: float = 0.0
) -> NDArray[np.float64]:
    """A policy's probabilities, with a share that is given out to all alike.

    Args:
        policy: one of POLICIES.
        mean_C: expected scores.
        deviation_C: their standard deviations, σ included.
        uniform_share: in [0, 1]. Above 0 every candidate has a chance, so that the log can tell about any policy.

    Returns:
        probability_C, which sums to 1.
    """
    return (1 - uniform_share) * POLICIES[policy](mean_C, deviation_C) + uniform_share / len(mean_C)


def _one(n: int, place: int) -> NDArray[np.float64]:
    chosen_C = np.zeros(n)
    chosen_C[place] = 1
    return chosen_C
