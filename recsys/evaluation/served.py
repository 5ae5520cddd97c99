"""What a release would answer: ridge users over the encoder's profiles, and the ranker that came with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.ranking.item_weights import ItemWeights, hashes
from recsys.retrieval.recaller import Known, Recaller
from recsys.retrieval.recallers import RECALLERS

# Shape suffixes: U users, I items, C candidates, T known texts.
RECALLER = "ridge"


@dataclass(frozen=True)
class Ranked:
    """A recaller whose scores item weights correct."""

    recaller: Recaller
    weights: ItemWeights
    met_UT: csr_array
    """Of all users."""
    place_I: NDArray[np.int64]
    """Of the items' texts among the known ones."""

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """The recaller's; the weights came with the encoder, and what that has seen is asked of it."""
        return self.recaller.learned_from

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, corrected."""
        scores_UC = self.recaller.scores(users, candidates)
        return self.weights.corrected(scores_UC, csr_array(self.met_UT[users]), self.place_I[candidates])


def learn_served(known: Known, weights: ItemWeights | None) -> Recaller:
    """Learn what is judged of champion and challenger.

    Args:
        known: with the encoder's profiles and λ.
        weights: that came with the encoder, if any.

    Returns:
        Ridge users, their lists ordered as a release orders them.
    """
    recaller = RECALLERS[RECALLER](known)
    if weights is None:
        return recaller
    place_I = weights.places(hashes(known.texts))
    return Ranked(recaller, weights, weights.met(known.histories_UI, place_I), place_I)
