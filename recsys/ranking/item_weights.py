"""Ranker `item_weights`: who met one text met certain others too. It corrects what profiles say of known texts.

    score(u, j) = f · w_u · x_j + Σ B[i, j] over the texts i that u met     where text j had clicks at training
    score(u, j) = w_u · x_j                                                 for every other text

So a list of items that nobody has met is in the order of the profiles alone, and one list may hold both kinds: f and B
bring them to one scale (`recsys/fusion/item_weights.py` learns them). B is sparse, from text to text; texts are found
by their SHA-256, so an edited text counts as new.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.reference import ITEM_WEIGHTS
from recsys.errors import EncoderError
from recsys.features.text import text_hash
from recsys.storage.atomic import write_whole

# Shape suffixes: U users, I items, N texts asked, T known texts, C candidates.
DIGEST_DIGITS = 32
"""Of the 64 that a text's hash has: 128 bits."""
UNKNOWN = -1


@dataclass(frozen=True)
class ItemWeights:
    """Known texts by digest, and the weights between them."""

    digests_T: NDArray[np.bytes_]
    """Ascending, none twice."""
    weights_TT: csr_array
    """float32 B: what having met the row's text adds to the score of the column's; nothing on the diagonal."""
    factor: float
    """f > 0."""

    def places(self, text_hashes: Sequence[str]) -> NDArray[np.int64]:
        """place_N of texts among the known ones, UNKNOWN for any other.

        Args:
            text_hashes: 64 hex digits each.

        Returns:
            int64 [N].
        """
        asked_N = digests(text_hashes)
        place_N = np.minimum(np.searchsorted(self.digests_T, asked_N), len(self.digests_T) - 1)
        return np.where(self.digests_T[place_N] == asked_N, place_N, UNKNOWN)

    def met(self, histories_UI: csr_array, place_I: NDArray[np.int64]) -> csr_array:
        """Which known texts each user met, 1 each.

        Args:
            histories_UI: 1 where a user met an item.
            place_I: of the items' texts, see `places`.

        Returns:
            met_UT.
        """
        known = np.flatnonzero(place_I != UNKNOWN)
        shape = (len(place_I), len(self.digests_T))
        text_of_IT = csr_array((np.ones(len(known), np.float32), (known, place_I[known])), shape=shape)
        met_UT = csr_array(histories_UI.astype(np.float32) @ text_of_IT)
        met_UT.data[:] = 1  # two items of one text are met as one
        return met_UT

    def corrected(
        self, scores_UC: NDArray[np.floating], met_UT: csr_array, place_C: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The scores by which lists are ordered.

        Args:
            scores_UC: inner products of user and item profiles.
            met_UT: see `met`.
            place_C: of the candidates' texts, see `places`.

        Returns:
            float32 [U, C].
        """
        known = np.flatnonzero(place_C != UNKNOWN)
        corrected_UC = np.array(scores_UC, np.float32)
        corrected_UC[:, known] *= np.float32(self.factor)
        corrected_UC[:, known] += (met_UT @ self.weights_TT).toarray()[:, place_C[known]]
        return corrected_UC

    def save(self, folder: Path) -> tuple[Path]:
        """Write item_weights.npz; the same weights give the same bytes."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            digests=self.digests_T,
            data=self.weights_TT.data.astype(np.float32),
            indices=self.weights_TT.indices.astype(np.int32),
            indptr=self.weights_TT.indptr.astype(np.int64),
            factor=np.float64(self.factor),
        )
        write_whole(folder / ITEM_WEIGHTS, buffer.getvalue())
        return (folder / ITEM_WEIGHTS,)

    @classmethod
    def load(cls, path: Path) -> "ItemWeights":
        """Read what `save` wrote.

        Args:
            path: the file.

        Returns:
            The weights.

        Raises:
            EncoderError: it is missing or damaged.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
                n = len(saved["digests"])
                weights_TT = csr_array((saved["data"], saved["indices"], saved["indptr"]), shape=(n, n))
                return cls(saved["digests"], weights_TT, float(saved["factor"]))
        except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile) as error:
            raise EncoderError(
                f"{path} holds no readable item weights: {error}",
                remedy=f"delete {path.parent} and run recsys fetch-champion, or dvc repro finetune for a challenger",
            ) from error


def digests(text_hashes: Sequence[str]) -> NDArray[np.bytes_]:
    """The first 128 bits of each hash, as they are sorted and compared."""
    return np.array([one[:DIGEST_DIGITS] for one in text_hashes], f"S{DIGEST_DIGITS}")


def hashes(texts: Sequence[str]) -> list[str]:
    """Of texts that are not yet hashed."""
    return [text_hash(text) for text in texts]
