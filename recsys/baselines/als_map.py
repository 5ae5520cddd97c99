"""Scorer `als_map`: collaborative factors of warm items, and a map from text to factors for those without.

ALS gives users p [F] and warm items q [F]. Ridge regression from the encoder's vectors, with an intercept, to the warm
items' factors gives every item m(x) [F]. An item with n users stands at (n q + κ m(x)) / (n + κ): its own factors where
much is known of it, the mapped ones where nothing is, then times `lift`: mapped factors are shorter than learned
ones, and would stand last in a list of both. Score = p · that.

Papers: Hu, Koren & Volinsky 2008, Collaborative Filtering for Implicit Feedback Datasets (by `implicit`); Gantner et
al. 2010, Learning Attribute-to-Feature Mappings for Cold-Start Recommendations.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recsys.baselines.floors import ByItem
from recsys.dataset.dataset import Dataset
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import choose, mixed_ndcg, tuning_sets

# Shape suffixes: U users, I items, W warm items, C candidates, D width of the encoder, F factors.
MAX_FACTORS = 128
ITEMS_PER_FACTOR = 20
"""Small catalogues get fewer factors."""
ALPHA = 10.0
REGULARIZATION = 0.1
ITERATIONS = 15
MAP_LAMBDAS = (10.0, 1.0, 100.0)
"""λ of the map, in squared profile lengths; chosen on tuning sets, the first is the default."""
KAPPAS = (20.0, 0.0, 5.0, 100.0)
"""Interactions that the mapped factors count for; chosen on tuning sets, the first is the default."""
LIFTS = (1.0, 1.5, 2.0, 3.0, 5.0)
"""Chosen on tuning sets, the first is the default."""


@dataclass(frozen=True)
class AlsMap:
    """Inner product of a user's and an item's factors."""

    users_UF: NDArray[np.float32]
    items_IF: NDArray[np.float32]
    learned_from: NDArray[np.int64]
    chosen: Mapping[str, float]
    """What the tuning sets chose, for reports."""

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = p · q."""
        scores_UC: NDArray[np.float32] = self.users_UF[users] @ self.items_IF[candidates].T
        return scores_UC


@dataclass(frozen=True)
class Factors:
    """What ALS learned."""

    users_UF: NDArray[np.float32]
    items_IF: NDArray[np.float32]
    """Zeros for cold items."""


def als_map(known: Dataset, sets: Sequence[ValidationSet] | None = None) -> AlsMap | ByItem:
    """Learned from warm items; ridge of the map, κ and lift are chosen on tuning sets, where there are some."""
    if not len(known.warm):
        return ByItem(np.zeros(len(known.texts), np.float32), known.warm)
    sets = tuning_sets(known) if sets is None else sets
    chosen = choose(sets, _tried) if sets else (MAP_LAMBDAS[0], KAPPAS[0], LIFTS[0])
    map_lambda, kappa, lift = chosen
    factors = als_factors(known)
    model = _joined(known, factors, _mapped(known, factors, map_lambda), kappa, lift)
    return replace(model, chosen={"λ of the map": map_lambda, "κ": kappa, "lift": lift})


def als_factors(known: Dataset) -> Factors:
    """Factors of all users and items.

    Args:
        known: interactions from before the cut, some of them.

    Returns:
        F = a twentieth of the warm items, from 1 to MAX_FACTORS; the same on any number of threads.
    """
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    warm = known.warm
    histories_UW = csr_matrix(known.interactions.matrix_UI[:, warm], dtype=np.float32)
    n_users, n_items = histories_UW.shape
    with warnings.catch_warnings(), threadpool_limits(1, "blas"):  # implicit has threads of its own
        warnings.simplefilter("ignore")
        model = AlternatingLeastSquares(
            factors=max(1, min(MAX_FACTORS, n_items // ITEMS_PER_FACTOR, n_users - 1)),
            alpha=ALPHA,
            regularization=REGULARIZATION,
            iterations=ITERATIONS,
            random_state=known.seed,
            use_gpu=False,
        )
        model.fit(histories_UW, show_progress=False)
    items_IF = np.zeros((len(known.texts), model.factors), np.float32)
    items_IF[warm] = model.item_factors
    return Factors(np.asarray(model.user_factors, np.float32), items_IF)


def _tried(tuning: ValidationSet) -> Iterator[tuple[tuple[float, float, float], float]]:
    """Ridge of the map, κ and lift, with their metrics."""
    factors = als_factors(tuning.dataset)
    is_cold_C = tuning.dataset.interactions.n_users_I[tuning.mixed.candidates] == 0
    for map_lambda in MAP_LAMBDAS:
        mapped_IF = _mapped(tuning.dataset, factors, map_lambda)
        for kappa in KAPPAS:
            model = _joined(tuning.dataset, factors, mapped_IF, kappa, 1.0)
            scores_UC = model.scores(tuning.mixed.users, tuning.mixed.candidates)
            for lift in LIFTS:
                yield (
                    (map_lambda, kappa, lift),
                    mixed_ndcg(tuning, scores_UC * np.where(is_cold_C, lift, 1.0)),
                )


def _mapped(known: Dataset, factors: Factors, map_lambda: float) -> NDArray[np.float32]:
    """m(x) of every item."""
    warm = known.warm
    vectors_WD = known.vectors_ID[warm].astype(np.float64)
    factors_WF = factors.items_IF[warm].astype(np.float64)
    middle_D, middle_F = vectors_WD.mean(axis=0), factors_WF.mean(axis=0)
    vectors_WD -= middle_D
    gram_DD = vectors_WD.T @ vectors_WD
    gram_DD.flat[:: len(gram_DD) + 1] += map_lambda
    map_DF = np.linalg.solve(gram_DD, vectors_WD.T @ (factors_WF - middle_F))
    mapped_IF: NDArray[np.float64] = known.vectors_ID @ map_DF + (middle_F - middle_D @ map_DF)
    return mapped_IF.astype(np.float32)


def _joined(
    known: Dataset, factors: Factors, mapped_IF: NDArray[np.float32], kappa: float, lift: float
) -> AlsMap:
    n_users_I = known.interactions.n_users_I.astype(np.float64)
    own_I = np.divide(n_users_I, n_users_I + kappa, out=np.zeros(len(n_users_I)), where=n_users_I > 0)
    mapped_I = np.where(n_users_I > 0, 1 - own_I, lift)
    own_I1, mapped_I1 = (one[:, None].astype(np.float32) for one in (own_I, mapped_I))
    return AlsMap(factors.users_UF, own_I1 * factors.items_IF + mapped_I1 * mapped_IF, known.warm, {})
