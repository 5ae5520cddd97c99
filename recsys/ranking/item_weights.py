"""Ranker `item_weights`: correct the profile scores of known items by co-occurrence in histories.

    score(u, j) = f_j · w_u · x_j + Σ B[i, j] over the items i of u's history     for j that was warm at training
    score(u, j) = w_u · x_j                                                       for every other item

So profiles alone order the items that were cold at training. A list may hold both kinds: f and B, which `learning.py`
learns, bring them to one scale. B is sparse. Items are identified by a digest of their id, so an item keeps its weights
when its text is edited.

f and B were learned for w_u = (XᵀX + λΣ⁻¹)⁻¹ b with `n_items` rows in X. With g times as many rows, g (XᵀX + gλΣ⁻¹)⁻¹ b
keeps the scale, see `ItemWeights.growth`.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.encoders.reference import ITEM_WEIGHTS
from recsys.errors import EncoderError
from recsys.ranking.ranker import ItemGroups
from recsys.storage.arrays import npz_bytes, read_arrays
from recsys.storage.atomic import write_whole

if TYPE_CHECKING:
    from recsys.ranking.learning import ItemWeightsSettings

# Shape suffixes: U users, I items, T known items, C candidates.
ITEM_WEIGHTS_VERSION = 1
"""Raise it when the same file would order lists differently, and let `load` refuse older files."""
ARRAYS = ("version", "digests", "data", "indices", "indptr", "factor", "n_items")
DIGEST_DIGITS = 32
"""Hex digits of SHA-256 that are kept: 128 bits."""
UNKNOWN = -1
AT_ONCE = 65_536
"""Ids that are digested at once; bounds memory."""


@dataclass(frozen=True)
class ItemWeights:
    """Known items, and the weights between them."""

    n_files: ClassVar[int] = 1
    second: ClassVar[None] = None

    digests_T: NDArray[np.bytes_]
    """Digests of the items' ids, ascending, without repeats."""
    weights_TT: csr_array
    """float32 B: what the row's item in a history adds to the score of the column's item. The diagonal is empty."""
    factor_T: NDArray[np.float32]
    """f > 0. All items without weights have the same factor, so profiles order them."""
    n_items: int
    """Rows of X when they were learned."""

    def growth(self, n_items: int) -> float:
        """g, the factor on λ and on profile scores where X has `n_items` rows, so that both parts keep one scale."""
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

    def over(self, item_ids: Collection[str]) -> "WeightedItems":
        """The ranker over the items of a catalogue, which are identified by the digests of their ids."""
        places = [np.empty(0, np.int32)]
        texts = iter(item_ids)
        while some := list(islice(texts, AT_ONCE)):
            place_B = np.full(len(some), UNKNOWN, np.int32)
            may_be = self._may_be_known(some)
            digest_M = digests([some[one] for one in may_be.tolist()])
            place_M = np.minimum(np.searchsorted(self.digests_T, digest_M), len(self.digests_T) - 1)
            is_known_M = self.digests_T[place_M] == digest_M
            place_B[may_be[is_known_M]] = place_M[is_known_M]
            places.append(place_B)
        return WeightedItems(self, np.concatenate(places))

    def _may_be_known(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Places of ids whose digests begin like a known one. Comparing numbers is cheaper than comparing texts."""
        first_T, first_B = self._first_T, first_bytes(item_ids)
        at_B = np.minimum(np.searchsorted(first_T, first_B), len(first_T) - 1)
        return np.flatnonzero(first_T[at_B] == first_B)

    @cached_property
    def _first_T(self) -> NDArray[np.uint64]:
        """The first 8 bytes of each digest, ascending."""
        whole = bytes.fromhex(b"".join(self.digests_T.tolist()).decode())
        return np.frombuffer(whole, ">u8")[:: DIGEST_DIGITS // 16].astype(np.uint64)

    def save(self, folder: Path) -> tuple[Path]:
        """Write item_weights.npz. The same weights give the same bytes."""
        write_whole(folder / ITEM_WEIGHTS, npz_bytes(self.arrays()))
        return (folder / ITEM_WEIGHTS,)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `of` reads, by name."""
        return {
            "version": np.array(ITEM_WEIGHTS_VERSION, np.int64),
            "digests": self.digests_T,
            "data": self.weights_TT.data.astype(np.float32),
            "indices": self.weights_TT.indices.astype(np.int32),
            "indptr": self.weights_TT.indptr.astype(np.int64),
            "factor": self.factor_T.astype(np.float32),
            "n_items": np.array(self.n_items, np.int64),
        }

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
            return cls.of(saved)
        except (OSError, KeyError, TypeError, ValueError, MemoryError) as error:
            raise EncoderError(
                f"{path} holds no readable item weights: {error}",
                remedy=f"delete {path.parent} and run recsys fetch-champion, or dvc repro finetune for a challenger",
            ) from error

    @classmethod
    def of(cls, saved: dict[str, NDArray[Any]]) -> "ItemWeights":
        """Build weights from the arrays; ValueError where they do not fit together or hold a non-finite number."""
        digests_T, factor_T, n_items = saved["digests"], saved["factor"], _scalar(saved["n_items"])
        n = len(digests_T)
        if (
            digests_T.dtype != np.dtype(f"S{DIGEST_DIGITS}")
            or not n
            or (digests_T[:-1] >= digests_T[1:]).any()
        ):
            raise ValueError("its digests are not ascending")
        if len(bytes.fromhex(b"".join(digests_T.tolist()).decode())) * 2 != n * DIGEST_DIGITS:
            raise ValueError("its digests are not of so many hex digits")
        if (
            factor_T.dtype != np.float32
            or factor_T.shape != (n,)
            or not ((factor_T > 0) & (factor_T < np.inf)).all()
        ):
            raise ValueError("its factors are not positive numbers, one for each item")
        if saved["data"].dtype != np.float32 or not np.isfinite(saved["data"]).all() or n_items < 1:
            raise ValueError("its weights are not of finite float32 numbers")
        weights_TT = csr_array((saved["data"], saved["indices"], saved["indptr"]), shape=(n, n))
        weights_TT.check_format(full_check=True)  # an index out of bounds would read foreign memory
        return cls(digests_T, weights_TT, factor_T, n_items)


@dataclass(frozen=True)
class WeightedItems:
    """Ranker `item_weights` over the items of a catalogue."""

    weights: ItemWeights
    place_I: NDArray[np.int32]
    """Place of each item among the known ones; UNKNOWN for any other."""

    def score(
        self, dot_UC: NDArray[np.floating], histories_UI: csr_array, candidates: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """Inner products, corrected for known items.

        Args:
            dot_UC: inner products of users and candidates, times the growth.
            histories_UI: 1 where a user interacted with an item, over all items; other numbers count in proportion.
            candidates: item rows.

        Returns:
            float32 [U, C].
        """
        scores_UC = np.array(dot_UC, np.float32)
        place_C = self.place_I[candidates]
        known = np.flatnonzero(place_C != UNKNOWN)
        places = place_C[known]
        factor = self.weights.factor_T[places]
        for user in range(len(scores_UC)):
            start, end = histories_UI.indptr[user : user + 2]
            added_T = self._added(histories_UI.indices[start:end], histories_UI.data[start:end])
            scores_UC[user, known] = scores_UC[user, known] * factor + added_T[places]
        return scores_UC

    def added(self, history: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the weights of a history's items add to the scores of candidates, [C]."""
        added_T = self._added(history, np.ones(len(history), np.float32))
        return np.append(added_T, np.float32(0))[self.place_I[candidates]]  # UNKNOWN is the last place

    @cached_property
    def groups(self) -> ItemGroups:
        """Every item with weights must be scored: there are few (`fusion.max_weighted_items`).

        The other known items share one factor, and new items have factor 1: the inner product orders each group.
        """
        has_weights_T = np.zeros(len(self.weights.digests_T), bool)
        has_weights_T[self.weights.weights_TT.indices] = True
        is_known_I = self.place_I != UNKNOWN
        scored = np.flatnonzero(is_known_I & has_weights_T[self.place_I])
        is_plain_I = is_known_I.copy()
        is_plain_I[scored] = False
        factor_I = np.where(is_known_I, self.weights.factor_T[self.place_I], 1)
        plain = [(is_plain_I & (factor_I == one), float(one)) for one in np.unique(factor_I[is_plain_I])]
        return ItemGroups(scored, (*plain, (~is_known_I, 1.0)), factor_I[scored].astype(np.float32))

    def _added(self, history: NDArray[np.integer], amounts: NDArray[np.floating]) -> NDArray[np.float32]:
        """What the items of a history, each with its weight, add to the score of each known item, [T]."""
        added_T = np.zeros(len(self.weights.digests_T), np.float32)
        places = self.place_I[history]
        order = np.argsort(places, kind="stable")  # a fixed one, so that sums are reproducible
        order = order[places[order] != UNKNOWN]
        weights_TT, rows = self.weights.weights_TT, places[order]
        starts = weights_TT.indptr[rows].astype(np.int64)
        lengths = weights_TT.indptr[rows + 1] - starts  # by hand: scipy's own way takes five times as long
        at = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        repeated = np.repeat(amounts[order].astype(np.float32), lengths)
        np.add.at(added_T, weights_TT.indices[at], weights_TT.data[at] * repeated)
        return added_T


def _scalar(value: NDArray[Any]) -> int:
    if value.shape != () or value.dtype.kind not in "iu":
        raise ValueError("it lacks a whole number where one belongs")
    return int(value)


def digests(item_ids: Iterable[str]) -> NDArray[np.bytes_]:
    """128 bits of SHA-256 of each id."""
    found = bytearray()
    for one in item_ids:
        found += hashlib.sha256(one.encode()).hexdigest()[:DIGEST_DIGITS].encode()
    return np.frombuffer(bytes(found), f"S{DIGEST_DIGITS}")


def first_bytes(item_ids: Sequence[str]) -> NDArray[np.uint64]:
    """The first 8 bytes of SHA-256 of each id, as a number."""
    found = b"".join([hashlib.sha256(one.encode()).digest() for one in item_ids])
    return np.frombuffer(found, ">u8")[::4].astype(np.uint64)
