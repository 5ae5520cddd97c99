"""The floors that a champion must beat: chance, popularity, categories, and the encoder without learning.

`tfidf_centroid` and `plain_blend` are floors too; they lie in `recsys/ranking`, since validation compares with them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.traits import set_trait
from recsys.ranking.centroid import Centroid

# Shape suffixes: U users, C candidates, I items.
PRIOR_ITEMS = 5.0
"""Items of average popularity that every tag is given beside its own, so that a tag of one hit proves little."""
NUMBERS_PER_STEP = 2
"""Of 32 bits each, that one step of the generator gives."""


@dataclass(frozen=True)
class Chance:
    """A number between 0 and 1 for every user and item, drawn once from the seed."""

    seed: int

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """Nothing."""
        return np.empty(0, np.int64)

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, uniform in [0, 1). Of items before and after all candidates no number is drawn."""
        drawn_UC = np.empty((len(users), len(candidates)), np.float32)
        if not len(candidates):
            return drawn_UC
        n_steps = int(candidates.min()) // NUMBERS_PER_STEP
        places = candidates - n_steps * NUMBERS_PER_STEP
        for row, user in enumerate(users.tolist()):
            steps = np.random.PCG64([self.seed, user]).advance(n_steps)
            drawn_UC[row] = np.random.Generator(steps).random(int(places.max()) + 1, np.float32)[places]
        return drawn_UC


def random_order(known: Dataset) -> Chance:
    """Nothing is learned."""
    return Chance(known.seed)


@dataclass(frozen=True)
class ByItem:
    """One score per item, whoever asks."""

    score_I: NDArray[np.float32]
    learned_from: NDArray[np.int64]

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, equal rows."""
        return np.broadcast_to(self.score_I[candidates], (len(users), len(candidates)))


def popular(known: Dataset) -> ByItem:
    """Score of an item = its interactions before the cut."""
    return ByItem(known.interactions.n_users_I.astype(np.float32), known.warm)


def same_category(known: Dataset) -> ByItem:
    """Score of an item = mean over its tags of the interactions per warm item with that tag.

    Items without a tag, or with new tags alone, get the average of all warm items.
    """
    warm, n_users_I = known.warm, known.interactions.n_users_I
    average = float(n_users_I[warm].mean()) if len(warm) else 0.0
    if known.tags is None:
        return ByItem(np.full(len(known.texts), average, np.float32), warm)
    tags_IV = set_trait(known.tags)
    warm_WV = csr_array(tags_IV[warm])
    n_users_V, n_items_V = warm_WV.T @ n_users_I[warm].astype(np.float64), warm_WV.sum(axis=0)
    popularity_V = (n_users_V + PRIOR_ITEMS * average) / (n_items_V + PRIOR_ITEMS)
    popularity_V[n_items_V == 0] = average
    n_tags_I = np.diff(tags_IV.indptr)
    scores_I = np.where(n_tags_I > 0, tags_IV @ popularity_V / np.maximum(n_tags_I, 1), average)
    return ByItem(scores_I.astype(np.float32), warm)


def encoder_centroid(known: Dataset) -> Centroid:
    """A user is the sum of the vectors of their items; nothing is learned from the items."""
    histories_UI = known.interactions.matrix_UI.astype(np.float32)
    return Centroid(known.vectors_ID, histories_UI, np.empty(0, np.int64))
