"""Ranker `item_weights`: who met one item met certain others too. It corrects what profiles say of known items.

    score(u, j) = f_j · w_u · x_j + Σ B[i, j] over the items i that u met     where somebody had met j at training
    score(u, j) = w_u · x_j                                                   for every other item

So a list of items that nobody had met is in the order of the profiles alone, and one list may hold both kinds: f and B
bring them to one scale (`recsys/ranking/learning.py` learns them). B is sparse. Items are found by a digest of their
id, so an item keeps its weights when its text is edited.

f and B were learned beside w_u = (XᵀX + λI)⁻¹ b with `n_items` rows in X. With g times as many the same metric is
g (XᵀX + gλI)⁻¹ b: see `ItemWeights.growth`.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from recsys.encoders.reference import ITEM_WEIGHTS
from recsys.errors import EncoderError
from recsys.storage.arrays import read_arrays
from recsys.storage.atomic import write_whole

# Shape suffixes: U users, I items, N items asked, T known items, C candidates.
ITEM_WEIGHTS_VERSION = 1
"""Raise it when the same file would order lists otherwise, and let `load` refuse those before."""
ARRAYS = ("version", "digests", "data", "indices", "indptr", "factor", "n_items")
DIGEST_DIGITS = 32
"""Of SHA-256 in hex: 128 bits."""
UNKNOWN = -1


@dataclass(frozen=True)
class ItemWeights:
    """Dataset items by digest, and the weights between them."""

    digests_T: NDArray[np.bytes_]
    """Ascending, none twice."""
    weights_TT: csr_array
    """float32 B: what having met the row's item adds to the score of the column's; nothing on the diagonal."""
    factor_T: NDArray[np.float32]
    """f > 0; of items without weights one and the same, so that their profiles give their order."""
    n_items: int
    """Rows of X when they were learned."""

    def growth(self, n_items: int) -> float:
        """g, by which λ and then scores are multiplied where X has `n_items` rows; more clicks tilt no list by that."""
        return max(1, n_items) / self.n_items

    def places(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """place_N of items among the known ones, UNKNOWN for any other."""
        asked_N = digests(item_ids)
        place_N = np.minimum(np.searchsorted(self.digests_T, asked_N), len(self.digests_T) - 1)
        return np.where(self.digests_T[place_N] == asked_N, place_N, UNKNOWN)

    def met(self, histories_UI: csr_array, place_I: NDArray[np.int64]) -> csr_array:
        """Which known items each user met.

        Args:
            histories_UI: 1 where a user met an item.
            place_I: see `places`.

        Returns:
            met_UT, float32.
        """
        known = np.flatnonzero(place_I != UNKNOWN)
        shape = (len(place_I), len(self.digests_T))
        placed_IT = csr_array((np.ones(len(known), np.float32), (known, place_I[known])), shape=shape)
        return csr_array(histories_UI.astype(np.float32) @ placed_IT)

    def corrected(
        self, scores_UC: NDArray[np.floating], met_UT: csr_array, place_C: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The scores by which lists are ordered.

        Args:
            scores_UC: inner products of user and item profiles.
            met_UT: see `met`.
            place_C: of the candidates, see `places`.

        Returns:
            float32 [U, C].
        """
        corrected_UC = np.array(scores_UC, np.float32)
        known = np.flatnonzero(place_C != UNKNOWN)
        if len(known):
            added = met_UT @ self._by_column[:, place_C[known]]
            corrected_UC[:, known] = corrected_UC[:, known] * self.factor_T[place_C[known]] + added.toarray()
        return corrected_UC

    @cached_property
    def _by_column(self) -> csc_array:
        return csc_array(self.weights_TT)

    def save(self, folder: Path) -> tuple[Path]:
        """Write item_weights.npz; the same weights give the same bytes."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            version=np.int64(ITEM_WEIGHTS_VERSION),
            digests=self.digests_T,
            data=self.weights_TT.data.astype(np.float32),
            indices=self.weights_TT.indices.astype(np.int32),
            indptr=self.weights_TT.indptr.astype(np.int64),
            factor=self.factor_T.astype(np.float32),
            n_items=np.int64(self.n_items),
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
            EncoderError: it is missing or damaged, or was written by a newer version.
        """
        try:
            saved = read_arrays(path, ARRAYS)
            if _scalar(saved["version"]) > ITEM_WEIGHTS_VERSION:
                raise EncoderError(
                    f"{path} is of version {saved['version']}, newest known is {ITEM_WEIGHTS_VERSION}",
                    remedy="update Firstlight",
                )
            return cls._of(saved)
        except (OSError, KeyError, TypeError, ValueError, MemoryError) as error:
            raise EncoderError(
                f"{path} holds no readable item weights: {error}",
                remedy=f"delete {path.parent} and run recsys fetch-champion, or dvc repro finetune for a challenger",
            ) from error

    @classmethod
    def _of(cls, saved: dict[str, NDArray[Any]]) -> "ItemWeights":
        """Join the arrays; a ValueError where they do not fit together or hold what is no number."""
        digests_T, factor_T, n_items = saved["digests"], saved["factor"], _scalar(saved["n_items"])
        n = len(digests_T)
        if (
            digests_T.dtype != np.dtype(f"S{DIGEST_DIGITS}")
            or not n
            or (digests_T[:-1] >= digests_T[1:]).any()
        ):
            raise ValueError("its digests are not ascending")
        if (
            factor_T.dtype != np.float32
            or factor_T.shape != (n,)
            or not ((factor_T > 0) & (factor_T < np.inf)).all()
        ):
            raise ValueError("its factors are not positive numbers, one for each item")
        if saved["data"].dtype != np.float32 or not np.isfinite(saved["data"]).all() or n_items < 1:
            raise ValueError("its weights are not of finite float32 numbers")
        weights_TT = csr_array((saved["data"], saved["indices"], saved["indptr"]), shape=(n, n))
        weights_TT.check_format(full_check=True)  # what points outside would be read from foreign memory
        return cls(digests_T, weights_TT, factor_T, n_items)


def _scalar(value: NDArray[Any]) -> int:
    if value.shape != () or value.dtype.kind not in "iu":
        raise ValueError("it lacks a whole number where one belongs")
    return int(value)


def digests(item_ids: Sequence[str]) -> NDArray[np.bytes_]:
    """128 bits of SHA-256 of each id, as they are sorted and compared."""
    found = [hashlib.sha256(one.encode()).hexdigest()[:DIGEST_DIGITS] for one in item_ids]
    return np.array(found, f"S{DIGEST_DIGITS}")
