"""The interface of a ranker. A ranker turns inner products of profiles into the scores that order lists.

`RANKERS` (in `rankers.py`) lists every ranker. Validation and judging score all candidates (`recommender.py`). A
release first finds candidates in its index, guided by `ItemGroups`, and scores them with the same code.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.trait_names import TraitNames
from recsys.ranking.shortlist import Shortlist

# Shape suffixes: U users, I items, C candidates, S items that are all scored.


@dataclass(frozen=True)
class ItemGroups:
    """Which items an index can find by inner product. Every item is in `scored` or in one of the groups."""

    scored: NDArray[np.int64]
    """Items whose scores depend on more than the inner product: all of them must be scored. Ascending."""
    by_dot: tuple[tuple[NDArray[np.bool_], float], ...]
    """Masks over all items, each with its factor on inner products. The inner product orders the items of a group."""
    factor_S: NDArray[np.float32]
    """For each item of `scored`, the factor (above 0) on its inner product. The rest of its score does not depend on
    the inner product, so approximate inner products tell a release which of them may be in a list."""


class RankedItems(Protocol):
    """A ranker over the items of one catalogue."""

    def score(
        self, dot_UC: NDArray[np.floating], histories_UI: csr_array, candidates: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """The scores that order lists.

        Args:
            dot_UC: inner products of users and candidates, times the growth.
            histories_UI: 1 where a user interacted with an item, over all items; scores are linear in each row.
            candidates: item rows.

        Returns:
            scores_UC. A score does not depend on which other users or candidates are scored.
        """

    def added(self, history: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """What one user's history adds to scores, whatever the inner products.

        Args:
            history: item rows.
            candidates: item rows.

        Returns:
            added_C: what `score` gives where all inner products are 0.
        """

    @property
    def groups(self) -> ItemGroups:
        """How a release finds the best items without scoring all of them."""


class SecondRanker(Protocol):
    """Ranks the best candidates of a first ranker again, by more than it could read of all items."""

    @property
    def traits(self) -> TraitNames:
        """The traits that it reads of shortlists, see `traits.py`."""

    @property
    def depth(self) -> int:
        """How many of the best candidates are ranked again. All others keep their order, behind these."""

    def scores(self, shortlist: Shortlist) -> NDArray[np.float32]:
        """Score one user's candidates.

        Args:
            shortlist: the candidates, in any order.

        Returns:
            scores_C in [0, 1]; a score does not depend on the other candidates.
        """


class Ranker(Protocol):
    """Learned in training, stored among the model's files, and applied to any catalogue. See RANKERS."""

    n_files: ClassVar[int]
    """Number of files that `save` writes."""

    @classmethod
    def learn(cls, dataset: Dataset, settings: Any) -> Self | None:  # noqa: ANN401  each ranker has its own
        """Learn from interactions.

        Args:
            dataset: with the profiles that scores are computed from.
            settings: what validation chose.

        Returns:
            The ranker; None where there is too little to learn from.
        """

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write its files; the same ranker gives the same bytes."""

    @classmethod
    def load(cls, files: Sequence[Path]) -> Self:
        """Read what `save` wrote. The files may have other paths and names now."""

    def growth(self, n_items: int) -> float:
        """Factor on λ, and then on inner products, where the Gram matrix is the sum over `n_items` items."""

    def over(self, item_ids: Collection[str]) -> RankedItems:
        """The ranker over the items of a catalogue. Profiles order the items that it does not know."""

    @property
    def second(self) -> SecondRanker | None:
        """What ranks the best candidates again; None: the scores of `over` order lists."""
