"""What a release would answer: ridge users over the encoder's profiles, and the ranker that came with it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.ranking.dot import RidgeUsers, ridge_users
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.scorer import Recaller

# Shape suffixes: U users, I items, C candidates, T known items.


@dataclass(frozen=True)
class Ranked:
    """Ridge users whose lists item weights order."""

    ridge: RidgeUsers
    weights: ItemWeights
    growth: float
    """See `ItemWeights.growth`."""
    met_UT: csr_array
    """Of all users."""
    place_I: NDArray[np.int64]
    """Of the items among the known ones."""

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """The ridge's; the weights came with the encoder, and what that has seen is asked of it."""
        return self.ridge.learned_from

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, corrected."""
        scores_UC = self.ridge.scores(users, candidates) * np.float32(self.growth)
        return self.weights.corrected(scores_UC, csr_array(self.met_UT[users]), self.place_I[candidates])


def learn_served(known: Dataset, item_ids: Sequence[str], weights: ItemWeights | None) -> Recaller:
    """Learn what is judged of champion and challenger.

    Args:
        known: with the encoder's profiles and λ.
        item_ids: of its items.
        weights: that came with the encoder, if any.

    Returns:
        Ridge users, their lists ordered as a release orders them.
    """
    if weights is None:
        return ridge_users(known)
    growth = weights.growth(len(known.warm))
    ridge = ridge_users(replace(known, ridge_lambda=known.ridge_lambda * growth))
    place_I = weights.places(item_ids)
    return Ranked(ridge, weights, growth, weights.met(known.interactions.matrix_UI, place_I), place_I)
