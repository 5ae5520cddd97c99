"""Floors `tfidf_centroid` and `encoder_centroid`: a user is the middle of the items that they met."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.encoders.tfidf import fit_tfidf


@dataclass(frozen=True)
class DenseCentroid:
    """Inner product of a candidate's profile with the sum of the user's profiles."""

    vectors_ID: NDArray[np.float32]
    histories_UI: csr_array
    learned_from: NDArray[np.int64]

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = cosine times the length of the centroid, which changes no order."""
        b_UD = self.histories_UI[users] @ self.vectors_ID
        return np.asarray(b_UD @ self.vectors_ID[candidates].T, np.float32)


@dataclass(frozen=True)
class SparseCentroid:
    """The same over sparse lexical vectors."""

    vectors_IV: csr_array
    histories_UI: csr_array
    learned_from: NDArray[np.int64]

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, as for dense vectors."""
        b_UV = self.histories_UI[users] @ self.vectors_IV
        return np.asarray((b_UV @ self.vectors_IV[candidates].T).toarray(), np.float32)


def encoder_centroid(known: Dataset) -> DenseCentroid:
    """Centroid in the space of the frozen encoder; nothing is learned from the items."""
    return DenseCentroid(
        known.vectors_ID, known.interactions.matrix_UI.astype(np.float32), np.empty(0, np.int64)
    )


def tfidf_centroid(known: Dataset) -> SparseCentroid:
    """Centroid of TF-IDF vectors; words and their weights are learned from warm items alone."""
    warm = known.warm
    fitted = fit_tfidf([known.texts[row] for row in warm])
    vectors_IV = csr_array(fitted.encode(list(known.texts)))
    return SparseCentroid(vectors_IV, known.interactions.matrix_UI.astype(np.float32), warm)
