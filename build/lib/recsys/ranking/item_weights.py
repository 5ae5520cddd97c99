"""Ranker `item_weights`: users of one item often use certain others too. It corrects what profiles say of known items.

    score(u, j) = f_j · w_u · x_j + Σ B[i, j] over the items i of u's history     where j was warm at training
    score(u, j) = w_u · x_j                                                       for every other item

So a list of items that were cold at training is in the order of the profiles alone, and one list may hold both kinds:
f and B bring them to one scale (`learning.py` learns them). B is sparse. Items are found by a digest of their id, so an
item keeps its weights when its text is edited.

f and B were learned beside w_u = (XᵀX + λI)⁻¹ b with `n_items` rows in X. With g times as many the same metric is
g (XᵀX + gλI)⁻¹ b: see `ItemWeights.growth`.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from recsys.dataset.dataset import Dataset
from recsys.encoders.reference import ITEM_WEIGHTS
from recsys.errors import EncoderError
from recsys.ranking.ranker import ItemGroups
from recsys.storage.arrays import read_arrays
from recsys.storage.atomic import write_whole

if TYPE_CHECKING:
    from recsys.ranking.learning import ItemWeightsSettings

# Shape suffixes: U users, I items, T known items, C candidates.
ITEM_WEIGHTS_VERSION = 1
"""Raise it when the same file would order lists otherwise, and let `load` refuse those before."""
ARRAYS = ("version", "digests", "data", "indices", "indptr", "factor", "n_items")
DIGEST_DIGITS = 32
"""Of SHA-256 in hex: 128 bits."""
UNKNOWN = -1


@dataclass(frozen=True)
class ItemWeights:
    """Known items by digest, and the weights between them."""

    n_files: ClassVar[int] = 1

    digests_T: NDArray[np.bytes_]
    """Ascending, none twice."""
    weights_TT: csr_array
    """float32 B: what the row's item in a history adds to the score of the column's; nothing on the diagonal."""
    factor_T: NDArray[np.float32]
    """f > 0; of items without weights one and the same, so that their profiles give their order."""
    n_items: int
    """Rows of X when they were learned."""

    def growth(self, n_items: int) -> float:
        """g, by which λ and then scores are multiplied where X has `n_items` rows; more clicks tilt no list by that."""
        return max(1, n_items) / self.n_items

    @classmethod
    def learn(cls, dataset: Dataset, settings: "ItemWeightsSettings") -> "ItemWeights | None":
        """Learn from all interactions of a dataset, see `recsys/ranking/learning.py`.

        Args:
            dataset: with the profiles that the scores are made of.
            settings: what validation chose.

        Returns:
            None where there is nothing to learn from.
        """
        from recsys.ranking.learning import learn_item_weights

        return learn_item_weights(dataset, settings)

    def over(self, item_ids: Sequence[str]) -> "WeightedItems":
        """Over a catalogue; items are found by the digest of their id."""
        digest_I = digests(item_ids)
        place_I = np.minimum(np.searchsorted(self.digests_T, digest_I), len(self.digests_T) - 1)
        return WeightedItems(self, np.where(self.digests_T[place_I] == digest_I, place_I, UNKNOWN))

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
    def load(cls, files: Sequence[Path]) -> "ItemWeights":
        """Read what `save` wrote.

        Args:
            files: the one file.

        Returns:
            The weights.

        Raises:
            EncoderError: it is missing or damaged, or was written by a newer version.
        """
        (path,) = files
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


@dataclass(frozen=True)
class WeightedItems:
    """Item weights over a catalogue."""

    weights: ItemWeights
    place_I: NDArray[np.int64]
    """Of each item among the known ones, UNKNOWN for any other."""

    def score(
        self, dot_UC: NDArray[np.floating], histories_UI: csr_array, candidates: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """Inner products, corrected for known items.

        Args:
            dot_UC: inner products of users and candidates, times the growth.
            histories_UI: 1 where a user interacted with an item, over all items.
            candidates: item rows.

        Returns:
            float32 [U, C].
        """
        scores_UC = np.array(dot_UC, np.float32)
        place_C = self.place_I[candidates]
        known = np.flatnonzero(place_C != UNKNOWN)
        if len(known):
            added = self._known(histories_UI) @ self._by_column[:, place_C[known]]
            scores_UC[:, known] = (
                scores_UC[:, known] * self.weights.factor_T[place_C[known]] + added.toarray()
            )
        return scores_UC

    @cached_property
    def groups(self) -> ItemGroups:
        """Items that have weights are all scored: there are few (`fusion.max_weighted_items`).

        The other known items share one factor, and new ones have 1: among each the inner product decides.
        """
        has_weights_T = np.zeros(len(self.weights.digests_T), bool)
        has_weights_T[self.weights.weights_TT.indices] = True
        is_known_I = self.place_I != UNKNOWN
        scored = np.flatnonzero(is_known_I & has_weights_T[self.place_I])
        is_plain_I = is_known_I.copy()
        is_plain_I[scored] = False
        factor_I = np.where(is_known_I, self.weights.factor_T[self.place_I], 1)
        plain = [(is_plain_I & (factor_I == one), float(one)) for one in np.unique(factor_I[is_plain_I])]
        return ItemGroups(scored, (*plain, (~is_known_I, 1.0)))

    def _known(self, histories_UI: csr_array) -> csr_array:
        """Which known items each user interacted with, [U, T]; in one order, so that sums are the same everywhere."""
        known_UT = csr_array(histories_UI.astype(np.float32) @ self._placed_IT)
        known_UT.sort_indices()
        return known_UT

    @cached_property
    def _placed_IT(self) -> csr_array:
        known = np.flatnonzero(self.place_I != UNKNOWN)
        shape = (len(self.place_I), len(self.weights.digests_T))
        return csr_array((np.ones(len(known), np.float32), (known, self.place_I[known])), shape=shape)

    @cached_property
    def _by_column(self) -> csc_array:
        return csc_array(self.weights.weights_TT)


def _scalar(value: NDArray[Any]) -> int:
    if value.shape != () or value.dtype.kind not in "iu":
        raise ValueError("it lacks a whole number where one belongs")
    return int(value)


def digests(item_ids: Sequence[str]) -> NDArray[np.bytes_]:
    """128 bits of SHA-256 of each id, as they are sorted and compared."""
    found = [hashlib.sha256(one.encode()).hexdigest()[:DIGEST_DIGITS] for one in item_ids]
    return np.array(found, f"S{DIGEST_DIGITS}")
