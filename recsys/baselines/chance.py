"""Floor `random`: every order is equally likely."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset


@dataclass(frozen=True)
class Chance:
    """A number between 0 and 1 for every user and item, drawn once from the seed."""

    n_items: int
    seed: int

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """Nothing."""
        return np.empty(0, np.int64)

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, uniform in [0, 1)."""
        drawn_UC = np.empty((len(users), len(candidates)), np.float32)
        for place, user in enumerate(users):
            drawn = np.random.default_rng([self.seed, int(user)]).random(self.n_items, np.float32)
            drawn_UC[place] = drawn[candidates]
        return drawn_UC


def random_order(known: Dataset) -> Chance:
    """Nothing is learned."""
    return Chance(len(known.texts), known.seed)
