"""Recaller `ridge`: user profiles by ridge regression, what a release serves (see profiles/users.py)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.profiles.users import Ridge, gram_of


@dataclass(frozen=True)
class RidgeUsers:
    """Inner product of a candidate's profile with the user's ridge profile."""

    ridge: Ridge
    vectors_ID: NDArray[np.float32]
    histories_UI: csr_array
    learned_from: NDArray[np.int64]

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = w · x."""
        b_UD = self.histories_UI[users] @ self.vectors_ID
        return self.ridge.weights(b_UD) @ self.vectors_ID[candidates].T


def ridge_users(known: Dataset) -> RidgeUsers:
    """The Gram matrix is learned from warm items alone: nobody could have met the others."""
    warm = known.warm
    ridge = Ridge(gram_of(known.vectors_ID[warm]), known.ridge_lambda, known.lexical_width)
    return RidgeUsers(ridge, known.vectors_ID, known.interactions.matrix_UI.astype(np.float64), warm)
