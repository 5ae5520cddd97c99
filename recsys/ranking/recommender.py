"""Score users against items exactly as a published release does: ridge users over profiles, then the model's ranker."""

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
        """Item rows that the users were learned from. What the ranker learned from is in the model's provenance."""
        return self.users.learned_from

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC of the ranker."""
        return self.ranked(self.dot(users, candidates), users, candidates)

    def dot(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products, before the ranker. They are the same for all recommenders that share their users."""
        return self.users.scores(users, candidates) * np.float32(self.growth)

    def ranked(
        self, dot_UC: NDArray[np.float32], users: NDArray[np.int64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """scores_UC from inner products."""
        return np.asarray(self.ranker.score(dot_UC, self.users.histories(users), candidates), np.float32)


def learn_recommender(dataset: Dataset, ranker: Ranker) -> Recommender:
    """Learn users for a ranker.

    Args:
        dataset: histories, profiles and λ.
        ranker: of the model.

    Returns:
        The recommender.
    """
    return learn_recommenders(dataset, {None: ranker})[None]


def learn_recommenders(dataset: Dataset, rankers: Mapping[Choice, Ranker]) -> dict[Choice, Recommender]:
    """Learn users for several rankers over one dataset. Rankers with the same growth share them.

    Args:
        dataset: histories, profiles and λ.
        rankers: by the name of the choice.

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
