"""Score users against items exactly as a published release does: ridge users over profiles, then the model's ranker."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.dataset.trait_names import AGE, NONE, TraitNames
from recsys.dataset.traits import Traits
from recsys.ranking.dot import RidgeUsers, ridge_users
from recsys.ranking.ranker import RankedItems, Ranker, SecondRanker
from recsys.ranking.shortlist import Shortlist, popularity_of
from recsys.ranking.traits import TraitNumbers

# Shape suffixes: U users, I items, C candidates, D dimension.
Choice = TypeVar("Choice", bound=Hashable)
ROOM = 1.0
"""Minus this is the score of the best candidate that is not ranked again; each further one scores 1 less. Candidates
that are ranked again score in [0, 1]."""


@dataclass(frozen=True)
class Recommender:
    """Ridge users whose lists a ranker orders."""

    users: RidgeUsers
    ranker: RankedItems
    growth: float
    """See `Ranker.growth`."""
    second: SecondRanker | None = None
    """Ranks the best candidates again; None: nothing does."""
    n_users_I: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Number of users of each item, which only a second ranker reads."""
    traits: TraitNumbers | None = None
    """Traits of the items, for a second ranker that reads any."""

    @property
    def learned_from(self) -> NDArray[np.int64]:
        """Item rows that the users were learned from. The model's provenance says what the ranker was learned from."""
        return self.users.learned_from

    @property
    def first(self) -> "Recommender":
        """The same without the second ranker: what recalls candidates."""
        return replace(self, second=None)

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC of the ranker."""
        return self.ranked(self.dot(users, candidates), users, candidates)

    def dot(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inner products, before the ranker. They are the same for all recommenders that share their users."""
        return self.users.scores(users, candidates) * np.float32(self.growth)

    def ranked(
        self, dot_UC: NDArray[np.float32], users: NDArray[np.int64], candidates: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """scores_UC from inner products.

        A second ranker scores the `depth` best candidates that the user has not interacted with, as a release does.
        All others follow in the order of the first ranker.
        """
        first_UC = np.asarray(self.ranker.score(dot_UC, self.users.histories(users), candidates), np.float32)
        if self.second is None:
            return first_UC
        scores_UC = np.empty_like(first_UC)
        for place, user in enumerate(users.tolist()):
            order_C = np.argsort(-first_UC[place], kind="stable")
            is_own_C = np.isin(candidates[order_C], self.users.histories_UI[[user]].indices)
            order_C = np.concatenate([order_C[~is_own_C], order_C[is_own_C]])
            scores_UC[place, order_C] = -ROOM - np.arange(len(order_C), dtype=np.float32)
            best_K = order_C[: min(self.second.depth, np.count_nonzero(~is_own_C))]
            shortlist = self.shortlist(
                user, candidates[best_K], dot_UC[place, best_K], first_UC[place, best_K]
            )
            scores_UC[place, best_K] = self.second.scores(shortlist)
        return scores_UC

    def shortlist(
        self,
        user: int,
        rows_C: NDArray[np.int64],
        dot_C: NDArray[np.float32] | None = None,
        score_C: NDArray[np.float32] | None = None,
    ) -> Shortlist:
        """What a second ranker reads of a user and some candidates.

        Args:
            user: row.
            rows_C: item rows.
            dot_C: inner products; None: they are computed.
            score_C: scores of the first ranker; None: they are computed.

        Returns:
            The shortlist.
        """
        users = np.array([user])
        if dot_C is None or score_C is None:
            dot_1C = self.dot(users, rows_C)
            dot_C, score_C = dot_1C[0], self.first.ranked(dot_1C, users, rows_C)[0]
        vectors_ID, history = self.users.vectors_ID, self.users.histories_UI[[user]].indices
        return Shortlist(
            user_D=self.users.profiles(users)[0] * np.float32(self.growth),
            items_CD=vectors_ID[rows_C],
            history_HD=vectors_ID[history],
            profile_C=dot_C,
            score_C=score_C,
            popularity_C=self._popularity_I[rows_C],
            popularity_H=self._popularity_I[history],
            is_new_C=self.n_users_I[rows_C] == 0,
            lexical_width=self.users.ridge.lexical_width,
            traits_CF=None if self.traits is None else self.traits.of(rows_C, history),
        )

    @cached_property
    def _popularity_I(self) -> NDArray[np.float32]:
        return popularity_of(self.n_users_I)


def learn_recommender(dataset: Dataset, ranker: Ranker, traits: TraitNames = NONE) -> Recommender:
    """Learn users for a ranker.

    Args:
        dataset: histories, profiles and λ.
        ranker: of the model.
        traits: that shortlists have, beside those that the ranker itself reads.

    Returns:
        The recommender.
    """
    return learn_recommenders(dataset, {None: ranker}, traits)[None]


def learn_recommenders(
    dataset: Dataset, rankers: Mapping[Choice, Ranker], traits: TraitNames = NONE
) -> dict[Choice, Recommender]:
    """Learn users for several rankers over one dataset. Rankers with the same growth share them.

    Args:
        dataset: histories, profiles and λ.
        rankers: by the name of the choice.
        traits: that shortlists have, where the ranker itself reads none.

    Returns:
        Choice -> recommender.
    """
    shared: dict[float, RidgeUsers] = {}
    found = {}
    for choice, ranker in rankers.items():
        growth = ranker.growth(len(dataset.warm))
        if growth not in shared:
            shared[growth] = ridge_users(dataset, growth)
        items, n_users_I = ranker.over(dataset.item_ids), dataset.interactions.n_users_I
        names = ranker.second.traits if ranker.second else traits
        numbers = trait_numbers(dataset, names) if names else None
        found[choice] = Recommender(shared[growth], items, growth, ranker.second, n_users_I, numbers)
    return found


def trait_numbers(dataset: Dataset, names: TraitNames) -> TraitNumbers:
    """Numbers of the traits of a dataset's items; popularity and age are those of its interactions."""
    known = dataset.interactions
    first_I = known.first_times()
    timed = {} if first_I is None else {AGE: first_I}
    traits = Traits(dataset.traits.sets, {**dataset.traits.numbers, **timed})
    return TraitNumbers(traits, names, popularity_of(known.n_users_I))
