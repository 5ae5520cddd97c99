"""Score users against items as a published release does: ridge users over profiles, then the release's ranker."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.ranking.dot import RidgeUsers, ridge_users
from recsys.ranking.ranker import RankedItems, Ranker

# Shape suffixes: U users, C candidates.
Choice = TypeVar("Choice", bound=Hashable)


@dataclass(frozen=True)
class Recommender:
    """Ridge users whose lists a ranker orders."""

    users: RidgeUsers
    ranker: RankedItems
    growth: float
    """See `Ranker.growth`."""

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """The users'; the ranker came with the model, and provenance tells what that was trained on."""
        return self.users.learned_from

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, as the ranker gives them."""
        return self.ranked(self.dot(users, candidates), users, candidates)

    def dot(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products, before the ranker; the same for all recommenders that share their users."""
        return self.users.scores(users, candidates) * np.float32(self.growth)

    def ranked(
        self, dot_UC: NDArray[np.float32], users: NDArray[np.int64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """scores_UC out of inner products."""
        return np.asarray(self.ranker.score(dot_UC, self.users.histories_UI[users], candidates), np.float32)


def learn_recommender(dataset: Dataset, ranker: Ranker) -> Recommender:
    """Learn users and put a ranker beside them.

    Args:
        dataset: histories, profiles and λ.
        ranker: that came with the model.

    Returns:
        The recommender.
    """
    return learn_recommenders(dataset, {None: ranker})[None]


def learn_recommenders(dataset: Dataset, rankers: Mapping[Choice, Ranker]) -> dict[Choice, Recommender]:
    """The same for several rankers over one dataset; those of one growth share their users.

    Args:
        dataset: histories, profiles and λ.
        rankers: by what the choice is called.

    Returns:
        Choice -> recommender.
    """
    shared: dict[float, RidgeUsers] = {}
    found = {}
    for choice, ranker in rankers.items():
        growth = ranker.growth(len(dataset.warm))
        if growth not in shared:
            shared[growth] = ridge_users(dataset, growth)
        found[choice] = Recommender(shared[growth], ranker.over(dataset.item_ids), growth)
    return found
