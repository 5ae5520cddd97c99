"""Centroids: a user is the sum of the vectors of their items. `tfidf_centroid` uses words."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse, vstack

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sums
from recsys.encoders.tfidf import fit_tfidf
from recsys.ranking.last_users import LastUsers
from recsys.storage.arrays import rows_of
from recsys.storage.strings import AT_ONCE, Strings

# Shape suffixes: U users, I items, C candidates, D dimension, V terms.


@dataclass(frozen=True)
class Centroid:
    """Inner product of a candidate's vector with the sum of the user's vectors."""

    vectors_ID: NDArray[np.float32] | csr_array
    histories_UI: csr_array
    """float32."""
    learned_from: NDArray[np.int64]
    _last: LastUsers[csr_array | NDArray[np.float32]] = field(
        init=False, default_factory=LastUsers, compare=False, repr=False
    )

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = cosine times the length of the centroid; the order is that of the cosines."""
        sums_UD = self._last.of(users, lambda: self._sums(users))
        if issparse(self.vectors_ID):
            return np.asarray(csr_array(sums_UD @ self.vectors_ID[candidates].T).toarray(), np.float32)
        return np.asarray(sums_UD @ rows_of(self.vectors_ID, candidates).T, np.float32)

    def _sums(self, users: NDArray[np.int64]) -> csr_array | NDArray[np.float32]:
        """Sum of each user's vectors."""
        histories_UI = csr_array(self.histories_UI[users])
        if issparse(self.vectors_ID):
            return csr_array(histories_UI @ self.vectors_ID)
        return sums(histories_UI, self.vectors_ID)


def tfidf_centroid(known: Dataset) -> Centroid:
    """Centroid of TF-IDF vectors. Words and their weights are learned from warm items only.

    Args:
        known: texts and histories.

    Returns:
        The centroid.

    Raises:
        EncoderError: no warm item has a word.
    """
    texts = Strings(known.texts)
    fitted = fit_tfidf(texts.take(known.warm))
    blocks = [fitted.encode(texts[start : start + AT_ONCE]) for start in range(0, len(texts), AT_ONCE)]
    vectors_IV = csr_array(vstack(blocks, "csr"))
    return Centroid(vectors_IV, known.interactions.matrix_UI.astype(np.float32), known.warm)
