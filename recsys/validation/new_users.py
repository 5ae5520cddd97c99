"""Users held out completely: how good are a release's lists while little is known about a user?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.dataset import Dataset
from recsys.dataset.histories import PAD, sample
from recsys.ranking.dot import ridge_of
from recsys.ranking.metrics import ndcg_at_k
from recsys.ranking.ranker import Ranker
from recsys.ranking.typical import Typical
from recsys.retrieval.exact import best_of

# Shape suffixes: U users, I items, D dimension, K list length, E padded excluded items.
CUTS = (0, 1, 2, 5)
"""Numbers of liked items from which a list is made."""
DESCRIBED = 2
"""The texts of this many further liked items describe the user in words."""
LEAST_LIKED = 3
"""One liked item to know, one to describe the user by, one to find."""
MOST_SHARE = 0.2
"""Share of all users who are held out."""
MIN_USERS = 10
MAX_SCORES = 1 << 24
"""The most users times items; bounds memory."""
K = 20


@dataclass(frozen=True)
class NewUser:
    """One user, by item rows."""

    known: tuple[int, ...]
    """The first n of them are the history at cut n."""
    described: tuple[int, ...]
    """The user is described by words of them."""
    relevant: tuple[int, ...]
    """Items that lists should contain: all others that the user likes, cold ones included."""


@dataclass(frozen=True)
class NewUsers:
    """Some users, and a dataset that contains neither them nor any interaction with the cold items."""

    users: tuple[NewUser, ...]
    dataset: Dataset


def hold_out_users(dataset: Dataset, cold: NDArray[np.int64], n: int) -> NewUsers | None:
    """Hold out users with all their likes, and cold items with all likes of them.

    Args:
        dataset: the whole training side.
        cold: rows of the items that are to be cold.
        n: the most users; never more than a fifth of them.

    Returns:
        Users and the rest; None where too few users like enough.
    """
    matrix_UI = dataset.interactions.matrix_UI
    rest = dataset.interactions.without(cold)
    fit = np.flatnonzero(rest.n_items_U >= LEAST_LIKED)
    most = min(n, int(MOST_SHARE * len(fit)), MAX_SCORES // max(1, len(dataset.texts)))
    if most < MIN_USERS:
        return None
    rng = np.random.default_rng([dataset.seed, 3])
    chosen = sample(fit, most, rng)
    users = []
    for user in chosen:
        liked = matrix_UI.indices[matrix_UI.indptr[user] : matrix_UI.indptr[user + 1]]
        warm = rng.permutation(np.setdiff1d(liked, cold)).tolist()
        n_known = min(max(CUTS), len(warm) - 2)
        n_described = min(DESCRIBED, len(warm) - n_known - 1)
        known, described = warm[:n_known], warm[n_known : n_known + n_described]
        relevant = np.setdiff1d(liked, known + described)
        users.append(NewUser(tuple(known), tuple(described), tuple(relevant.tolist())))
    is_kept_U = np.ones(matrix_UI.shape[0], bool)
    is_kept_U[chosen] = False
    users_P = np.repeat(np.arange(len(is_kept_U)), rest.n_items_U)
    return NewUsers(tuple(users), replace(dataset, interactions=rest.only_pairs(is_kept_U[users_P])))


class NewUserScores:
    """A model's scores of all items for such users. They are linear in what is known, so all weights are tried at once.

    Args:
        users: held out from `profiled`.
        profiled: the rest, with profiles, λ and lexical width of a model that was learned from it.
        ranker: of that model.
        texts_UD: profiles of the words about each user.
    """

    def __init__(
        self, users: Sequence[NewUser], profiled: Dataset, ranker: Ranker, texts_UD: NDArray[np.floating]
    ) -> None:
        self.users, self._vectors_ID, self._texts_UD = users, profiled.vectors_ID, texts_UD
        warm = profiled.warm
        self._growth = ranker.growth(len(warm))
        self._items = ranker.over(profiled.item_ids)
        self.ridge = ridge_of(profiled, self._growth)
        self._typical = Typical.of(profiled.interactions.n_users_I)
        excluded = [(*user.known, *user.described) for user in users]
        self._excluded_UE, self._relevant_UR = _padded(excluded), _padded([user.relevant for user in users])

    def history(self, cut: int) -> csr_array:
        """1 where a user likes an item among the first `cut`, [U, I]."""
        rows = [user.known[:cut] for user in self.users]
        ends = np.concatenate([[0], np.cumsum([len(one) for one in rows])])
        items = np.array([item for one in rows for item in one], np.int64)
        history_UI = csr_array((np.ones(len(items)), items, ends), shape=(len(rows), len(self._vectors_ID)))
        history_UI.sort_indices()
        return history_UI

    def by_history(self, cut: int) -> NDArray[np.float32]:
        """scores_UI of the items that users like."""
        history_UI = self.history(cut)
        return self._scores(history_UI @ self._vectors_ID.astype(np.float64), history_UI)

    def by_text(self) -> NDArray[np.float32]:
        """scores_UI by the words about the users, at weight 1."""
        nothing = csr_array((len(self.users), len(self._vectors_ID)))
        return self._scores(self._texts_UD.astype(np.float64), nothing)

    def by_typical(self) -> NDArray[np.float32]:
        """scores_I of what all users like, at weight 1."""
        if self._typical is None:
            return np.zeros(len(self._vectors_ID), np.float32)
        b_D = self._typical.profile(self._vectors_ID[self._typical.rows_T])
        scores_1I = self._scores(b_D[None], self._typical.history(len(self._vectors_ID)))
        return scores_1I.ravel()

    def ndcg(self, scores_UI: NDArray[np.floating]) -> NDArray[np.float64]:
        """ndcg@20 of each user's list of all items, without items that were known or used to describe the user, [U]."""
        ranked_UK = best_of(scores_UI, K, self._excluded_UE).rows_UK
        return ndcg_at_k(ranked_UK, self._relevant_UR, K)

    def _scores(self, b_UD: NDArray[np.float64], history_UI: csr_array) -> NDArray[np.float32]:
        dots_UI = self.ridge.weights(b_UD) @ self._vectors_ID.T * np.float32(self._growth)
        every = np.arange(len(self._vectors_ID))
        return np.asarray(self._items.score(dots_UI, history_UI, every), np.float32)


def _padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    longest = max(len(one) for one in rows)
    return np.array([[*one, *[PAD] * (longest - len(one))] for one in rows], np.int64)
