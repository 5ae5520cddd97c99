"""Floor `popular`: what most users met before the cut, the same list for everybody. Blind to cold items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset


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
