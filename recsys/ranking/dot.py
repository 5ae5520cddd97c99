"""Ridge users, and ranker `dot`: a candidate's score is the inner product of its profile with the user's."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import sample, sums
from recsys.dataset.interactions import Interactions
from recsys.profiles.alike import with_alike
from recsys.profiles.gram import gram_of
from recsys.profiles.prior import prior_among
from recsys.profiles.ridge import Ridge
from recsys.ranking.last_users import LastUsers
from recsys.ranking.ranker import ItemGroups
from recsys.ranking.typical import Typical, typical_share
from recsys.storage.arrays import rows_of

# Shape suffixes: U users, I items, N some items, C candidates, D dimension.
ProfilesOf = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Item rows -> their profiles, [N, D], unit rows."""
PROFILES_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class RidgeUsers:
    """Users by ridge regression over item profiles, see `recsys/profiles/ridge.py`."""

    ridge: Ridge
    vectors_ID: NDArray[np.float32]
    histories_UI: csr_array
    """1 for each like."""
    learned_from: NDArray[np.int64]
    signals_UI: csr_array | None = None
    """How much each like and dislike counts in the sums of item profiles; None: 1 for each like."""
    typical: Typical | None = None
    """The typical history, which complements short histories; None: it is not used."""
    typical_weight: float = 0.0
    alike: float = 0.0
    """How much less a like counts that others of the user resemble, see `recsys.profiles.alike`."""
    _last: LastUsers[NDArray[np.float32]] = field(
        init=False, default_factory=LastUsers, compare=False, repr=False
    )

    def histories(self, users: NDArray[np.int64]) -> csr_array:
        """Users as rankers see them: their likes, plus their shares of the typical history, [U, I]."""
        return self._with_typical(csr_array(self.histories_UI[users]), users)

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = w · x."""
        return self.profiles(users) @ rows_of(self.vectors_ID, candidates).T

    def profiles(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """w_UD of some users."""
        return self._last.of(users, lambda: self._profiles(users))

    def _profiles(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        likes_UI = csr_array(self.histories_UI[users])
        counted_UI = likes_UI if self.signals_UI is None else csr_array(self.signals_UI[users])
        counted_UI = with_alike(counted_UI, likes_UI, self.vectors_ID, self.alike, self.ridge.lexical_width)
        return self.ridge.weights(sums(self._with_typical(counted_UI, users), self.vectors_ID))

    def _with_typical(self, known_UI: csr_array, users: NDArray[np.int64]) -> csr_array:
        if self.typical is None or self.typical_weight == 0:
            return known_UI
        n_likes_U = np.diff(self.histories_UI.indptr)[users]
        shares_U1 = [[typical_share(self.typical_weight, n)] for n in n_likes_U.tolist()]
        added_UI = csr_array(np.array(shares_U1)) @ self.typical.history(known_UI.shape[1])
        return csr_array(known_UI + added_UI)


def ridge_of(dataset: Dataset, growth: float = 1.0) -> Ridge:
    """Learn what all users share from their likes, as stage `users` does.

    Args:
        dataset: profiles, likes, λ and the weight of the prior.
        growth: factor on λ, see `Ranker.growth`.

    Returns:
        Ridge regression with the Gram matrix of the warm items.
    """
    known, vectors_ID, first = dataset.interactions, dataset.vectors_ID, dataset.lexical_width
    prior_RD = prior_among(known.users, known.matrix_UI, vectors_ID.__getitem__, dataset.prior_weight, first)
    return Ridge(gram_of(vectors_ID, dataset.warm), dataset.ridge_lambda * growth, first, prior_RD)


def ridge_by_sample(
    known: Interactions,
    profiles_of: ProfilesOf,
    ridge_lambda: float,
    lexical_width: int,
    prior_weight: float,
    n_most_used: int,
    n_others: int,
    seed: int,
) -> Ridge:
    """Like `ridge_of`, where the profiles of all warm items would take too much time and memory.

    XᵀX is the sum over the items with the most users, and over a sample of the others, multiplied by how many they are
    for each one in the sample. So it is right in the mean, whatever distinguishes the items that most users know.

    Args:
        known: likes.
        profiles_of: of items.
        ridge_lambda: λ.
        lexical_width: number of leading dimensions of profiles that it leaves out.
        prior_weight: of the users' prior.
        n_most_used: items with the most users, all of which are read.
        n_others: the most other items that are read, at least one.
        seed: of their sample.

    Returns:
        Ridge regression with the estimated Gram matrix.

    Source: Cochran 1977, Sampling Techniques, chapter 5 (stratified random sampling).
    """
    prior_RD = prior_among(known.users, known.matrix_UI, profiles_of, prior_weight, lexical_width)
    most_used = known.most_used(n_most_used)
    others = np.setdiff1d(known.warm, most_used)
    drawn = sample(others, n_others, seed)
    gram_DD = _gram_by_blocks(most_used, profiles_of)
    if len(drawn):
        gram_DD += _gram_by_blocks(drawn, profiles_of) * (len(others) / len(drawn))
    return Ridge(gram_DD, ridge_lambda, lexical_width, prior_RD)


def _gram_by_blocks(rows: NDArray[np.int64], profiles_of: ProfilesOf) -> NDArray[np.float64]:
    """XᵀX of some items, at least one; few of their profiles are in memory at once."""
    gram_DD = gram_of(profiles_of(rows[:PROFILES_AT_ONCE]))
    for start in range(PROFILES_AT_ONCE, len(rows), PROFILES_AT_ONCE):
        gram_DD += gram_of(profiles_of(rows[start : start + PROFILES_AT_ONCE]))
    return gram_DD


def ridge_users(dataset: Dataset, growth: float = 1.0) -> RidgeUsers:
    """Learn ridge users. The Gram matrix holds warm items only: nobody could have interacted with the others.

    Args:
        dataset: profiles, λ, histories and the typical weight.
        growth: factor on λ, see `Ranker.growth`.

    Returns:
        The users.
    """
    warm = dataset.warm
    ridge = ridge_of(dataset, growth)
    histories_UI, weight = dataset.interactions.matrix_UI, dataset.typical_weight
    typical = Typical.of(dataset.interactions.n_users_I) if weight else None
    weighting = dataset.weighting
    signals_UI = None if weighting.is_yes_or_no else dataset.interactions.signals(weighting)
    return RidgeUsers(
        ridge, dataset.vectors_ID, histories_UI, warm, signals_UI, typical, weight, weighting.alike
    )


@dataclass(frozen=True)
class Dot:
    """Orders lists by the inner products. Nothing is learned or saved."""

    n_files: ClassVar[int] = 0
    second: ClassVar[None] = None

    @classmethod
    def learn(cls, dataset: Dataset, settings: object = None) -> "Dot":
        """The ranker; it does not depend on the dataset."""
        return cls()

    def save(self, folder: Path) -> tuple[Path, ...]:
        """No file."""
        return ()

    @classmethod
    def load(cls, files: Sequence[Path]) -> "Dot":
        """The ranker; there is nothing to read."""
        return cls()

    def growth(self, n_items: int) -> float:
        """1: profile scores have the same scale, however many items are warm."""
        return 1.0

    def over(self, item_ids: Collection[str]) -> "DotItems":
        """Over a catalogue."""
        return DotItems(len(item_ids))


@dataclass(frozen=True)
class DotItems:
    """Ranker `dot` over the items of a catalogue."""

    n_items: int

    def score(
        self, dot_UC: NDArray[np.floating], histories_UI: csr_array, candidates: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """The inner products themselves."""
        return dot_UC

    def added(self, history: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """Nothing."""
        return np.zeros(len(candidates), np.float32)

    @property
    def groups(self) -> ItemGroups:
        """One group: the inner product orders all items."""
        all_I = np.ones(self.n_items, bool)
        return ItemGroups(np.empty(0, np.int64), ((all_I, 1.0),), np.empty(0, np.float32))
