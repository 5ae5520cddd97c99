"""What a ranker is: it turns inner products of profiles into the scores that order lists.

`RANKERS` (in `rankers.py`) names every ranker. Validation and judging score all candidates (`recommender.py`); a
release first finds candidates in its index, as `ItemGroups` allows, and has them scored by the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset

# Shape suffixes: U users, I items, C candidates.


@dataclass(frozen=True)
class ItemGroups:
    """Which items an index may answer for. Every item is in `scored` or in one of the groups."""

    scored: NDArray[np.int64]
    """Items whose score depends on more than their inner product: each of them must be scored."""
    by_dot: tuple[tuple[NDArray[np.bool_], float], ...]
    """Masks over all items, each with the factor of its inner products: within one the inner product is the order."""


class RankedItems(Protocol):
    """A ranker over the items of one catalogue."""

    def score(
        self, dot_UC: NDArray[np.floating], histories_UI: csr_array, candidates: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """The scores that order lists.

        Args:
            dot_UC: inner products of users and candidates, times the growth.
            histories_UI: 1 where a user interacted with an item, over all items.
            candidates: item rows.

        Returns:
            scores_UC; the same whatever other users or candidates are scored beside.
        """

    @property
    def groups(self) -> ItemGroups:
        """How a release finds the best items without scoring all."""


class Ranker(Protocol):
    """Learned at training, kept among the model's files, used over any catalogue. See RANKERS."""

    n_files: ClassVar[int]
    """How many `save` writes."""

    @classmethod
    def learn(cls, dataset: Dataset, settings: Any) -> Self | None:  # noqa: ANN401  each ranker has its own
        """Learn from interactions.

        Args:
            dataset: what may be learned from, with the profiles that the scores are made of.
            settings: what validation chose.

        Returns:
            The ranker; None where the dataset holds too little.
        """

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write its files; the same ranker gives the same bytes."""

    @classmethod
    def load(cls, files: Sequence[Path]) -> Self:
        """Read what `save` wrote, wherever the files lie and whatever they are called now."""

    def growth(self, n_items: int) -> float:
        """By which λ and then inner products are multiplied where the Gram matrix sums `n_items` items."""

    def over(self, item_ids: Sequence[str]) -> RankedItems:
        """The ranker over a catalogue; items that it does not know are ordered by profiles."""
