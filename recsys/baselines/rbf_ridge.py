"""Scorer `rbf_ridge`: ridge users over Nyström features of an RBF kernel between the encoder's vectors.

k(x, y) = exp(γ (x · y - 1)), which for unit vectors is exp(-γ |x - y|² / 2). With M landmarks, the features
φ(x) = k(x, landmarks) K⁻¹ᐟ² give φ(x) · φ(y) ≈ k(x, y), so a user's function may bend where a ridge over the vectors is
a plane; everything else is as in `ridge`.

Papers: Williams & Seeger 2001, Using the Nyström Method to Speed Up Kernel Machines; Schölkopf & Smola 2002, ch. 4.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.baselines.floors import ByItem
from recsys.dataset.dataset import Dataset
from recsys.profiles.ridge import Ridge
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import choose, mixed_ndcg, tuning_sets

# Shape suffixes: U users, I items, C candidates, D width of the encoder, M landmarks, F features.
Real = TypeVar("Real", np.float32, np.float64)
MAX_LANDMARKS = 1000
"""The warm items with most users."""
DEFAULT_SHARPNESS = 2.0
SHARPNESSES = (1.0, 2.0, 4.0)
"""γ, chosen on tuning sets."""
LAMBDAS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
RANK_TOLERANCE = 1e-6
BLOCK_ROWS = 4096


@dataclass(frozen=True)
class Nystroem:
    """Maps vectors to features that approximate an RBF kernel (Nyström)."""

    landmarks_MD: NDArray[np.float32]
    gamma: float
    root_MF: NDArray[np.float32]
    """K⁻¹ᐟ², without directions that hardly count."""

    def features(self, vectors_ID: NDArray[np.float32]) -> NDArray[np.float32]:
        """φ, [I, F]; rows of length 1 at most."""
        features_IF = np.empty((len(vectors_ID), self.root_MF.shape[1]), np.float32)
        for start in range(0, len(vectors_ID), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            features_IF[part] = rbf(vectors_ID[part], self.landmarks_MD, self.gamma) @ self.root_MF
        return features_IF


@dataclass(frozen=True)
class RbfRidge:
    """Inner product of a candidate's features with the user's ridge weights."""

    ridge: Ridge
    features_IF: NDArray[np.float32]
    histories_UI: csr_array
    learned_from: NDArray[np.int64]
    chosen: Mapping[str, float]
    """What the tuning sets chose, for reports."""

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = w · φ."""
        b_UF = self.histories_UI[users] @ self.features_IF
        return self.ridge.weights(b_UF) @ self.features_IF[candidates].T


def rbf_ridge(known: Dataset, sets: Sequence[ValidationSet] | None = None) -> RbfRidge | ByItem:
    """Landmarks and Gram matrix are those of warm items; γ and λ are chosen on tuning sets.

    Without tuning sets γ = DEFAULT_SHARPNESS and the λ of `known`; without a warm item nothing is known of anybody.
    """
    if not len(known.warm):
        return ByItem(np.zeros(len(known.texts), np.float32), known.warm)
    sets = tuning_sets(known) if sets is None else sets
    gamma, ridge_lambda = choose(sets, _tried) if sets else (DEFAULT_SHARPNESS, known.ridge_lambda)
    return _learned(known, gamma, ridge_lambda)


def rbf(left_ND: NDArray[Real], right_MD: NDArray[Real], gamma: float) -> NDArray[Real]:
    """Kernel of unit rows, [N, M]: 1 for the same direction."""
    kernel_NM: NDArray[Real] = left_ND @ right_MD.T
    kernel_NM -= 1
    kernel_NM *= gamma
    np.exp(kernel_NM, out=kernel_NM)
    return kernel_NM


def _tried(tuning: ValidationSet) -> Iterator[tuple[tuple[float, float], float]]:
    """γ and λ with their metrics."""
    for gamma in SHARPNESSES:
        model = _learned(tuning.dataset, gamma, LAMBDAS[0])
        for one in LAMBDAS:
            tried = replace(model, ridge=Ridge(model.ridge.gram, one))
            yield (gamma, one), mixed_ndcg(tuning, tried.scores(tuning.mixed.users, tuning.mixed.candidates))


def _learned(known: Dataset, gamma: float, ridge_lambda: float) -> RbfRidge:
    landmarks_MD = known.vectors_ID[known.interactions.most_used(MAX_LANDMARKS)]
    exact_MD = landmarks_MD.astype(np.float64)
    values_M, vectors_MM = np.linalg.eigh(rbf(exact_MD, exact_MD, gamma))
    real = values_M > RANK_TOLERANCE * values_M[-1]
    root_MF = (vectors_MM[:, real] / np.sqrt(values_M[real])).astype(np.float32)
    features_IF = Nystroem(landmarks_MD, gamma, root_MF).features(known.vectors_ID)
    warm_WF = features_IF[known.warm].astype(np.float64)
    ridge = Ridge(warm_WF.T @ warm_WF, ridge_lambda)
    chosen = {"γ": gamma, "λ": ridge_lambda}
    return RbfRidge(ridge, features_IF, known.interactions.matrix_UI.astype(np.float64), known.warm, chosen)
