"""Interactions: one sparse matrix over user rows and item rows, with times and strengths of the pairs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.catalogue.weighting import DAY_US, EVENTS, N_LIKES, TYPICAL, Weighting
from recsys.storage.strings import UNKNOWN, Strings

# Shape suffixes: U users, I items, P distinct pairs, R rows of a table.


@dataclass(frozen=True)
class Interactions:
    """Which user interacted with which item. Users and items are identified by rows."""

    item_ids: Sequence[str]
    """Of the item rows; `Strings` where they come from files, so that many are no Python objects."""
    users: Sequence[str]
    """Pseudonyms of the user rows, likewise."""
    matrix_UI: csr_array
    """float64, 1 for every pair; columns are ascending in each row."""
    times_P: NDArray[np.float64] | None = None
    """First time of each pair, in the order of the matrix: larger is later, NaN is unknown. None: no times at all."""
    strengths_P: NDArray[np.float64] | None = None
    """How strong each like is, in the same order, see `recsys/catalogue/weighting.py`. None: all alike."""
    n_likes_P: NDArray[np.int64] | None = None
    """How often the user liked the item. None: it is not counted."""
    latest_P: NDArray[np.float64] | None = None
    """Time of the latest interaction, in days, NaN where unknown. None: no times at all."""
    events_P: NDArray[np.int64] | None = None
    """Place in `event_sets` of the events of each like. None: they are not known."""
    event_sets: tuple[str | None, ...] = ()
    """As in column EVENTS of opinions, see `recsys/catalogue/weighting.py`."""
    dislikes: "Interactions | None" = None
    """Pairs of the same rows that are dislikes. They are no interactions: counts, warm items and relevant items are
    those of the likes."""

    @cached_property
    def n_users_I(self) -> NDArray[np.int64]:
        """Number of users of each item."""
        return np.bincount(self.matrix_UI.indices, minlength=len(self.item_ids)).astype(np.int64)

    @cached_property
    def n_items_U(self) -> NDArray[np.int64]:
        """Number of items of each user."""
        n_items_U: NDArray[np.int64] = np.diff(self.matrix_UI.indptr).astype(np.int64)
        return n_items_U

    @cached_property
    def warm(self) -> NDArray[np.int64]:
        """Rows of the items with interactions, ascending."""
        return np.flatnonzero(self.n_users_I)

    def most_used(self, n: int) -> NDArray[np.int64]:
        """Rows of the n warm items with the most users, ascending; of equal counts the smaller row."""
        return np.sort(self.warm[np.argsort(-self.n_users_I[self.warm], kind="stable")][:n])

    def head(self, items: NDArray[np.int64], share: float) -> NDArray[np.int64]:
        """The share of some items that has the most users, rounded up; of equal counts the earlier item."""
        order = np.argsort(-self.n_users_I[items], kind="stable")
        return items[order[: ceil(share * len(items))]]

    def only_pairs(self, kept_P: NDArray[np.bool_]) -> "Interactions":
        """Keep some of the pairs.

        Args:
            kept_P: for each pair, in the order of the matrix.

        Returns:
            New interactions over the same rows.
        """
        matrix_UI = self.matrix_UI
        users_P = self.users_P
        places = (users_P[kept_P], matrix_UI.indices[kept_P])
        kept_UI = csr_array((matrix_UI.data[kept_P], places), shape=matrix_UI.shape)
        return replace(
            self,
            matrix_UI=kept_UI,
            times_P=None if self.times_P is None else self.times_P[kept_P],
            strengths_P=None if self.strengths_P is None else self.strengths_P[kept_P],
            n_likes_P=None if self.n_likes_P is None else self.n_likes_P[kept_P],
            latest_P=None if self.latest_P is None else self.latest_P[kept_P],
            events_P=None if self.events_P is None else self.events_P[kept_P],
        )

    def only_items(self, kept_I: NDArray[np.bool_]) -> "Interactions":
        """Keep the pairs of some items, likes and dislikes, over the same rows."""
        dislikes = None if self.dislikes is None else self.dislikes.only_items(kept_I)
        return replace(self.only_pairs(kept_I[self.matrix_UI.indices]), dislikes=dislikes)

    def without(self, items: NDArray[np.int64]) -> "Interactions":
        """Drop the pairs of some items, over the same rows."""
        kept_I = np.ones(len(self.item_ids), bool)
        kept_I[items] = False
        return self.only_items(kept_I)

    def rows_in(self, pairs: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row of the user and row of the item of each row of a table with user and item_id; UNKNOWN for others."""
        return Strings(self.users).rows_in(pairs["user"]), Strings(self.item_ids).rows_in(pairs["item_id"])

    @property
    def users_P(self) -> NDArray[np.int64]:
        """User row of each pair."""
        return np.repeat(np.arange(self.matrix_UI.shape[0]), self.n_items_U)

    def signals(self, weighting: Weighting) -> csr_array:
        """How much each pair counts in its user's profile.

        Args:
            weighting: of the model.

        Returns:
            weights_UI float64: above 0 for likes, below for dislikes. Under yes or no it is `matrix_UI` itself.
        """
        if weighting.is_yes_or_no:
            return self.matrix_UI
        strengths_P = np.full(self.matrix_UI.nnz, TYPICAL) if self.strengths_P is None else self.strengths_P
        newest_U = self._newest_U()
        likes_UI = self._weighed(weighting, strengths_P, newest_U)
        if self.dislikes is None or not weighting.dislike:
            return likes_UI
        return csr_array(
            likes_UI + self.dislikes._weighed(weighting, -self.dislikes.matrix_UI.data, newest_U)
        )

    def grades(self) -> csr_array:
        """How much a user gains from each item, [U, I]: half the strength of a like, in (0, 1); nothing for a dislike.

        Returns:
            The gains of graded ndcg. Where no like has a strength they are all alike.
        """
        strengths_P = np.full(self.matrix_UI.nnz, TYPICAL) if self.strengths_P is None else self.strengths_P
        return csr_array(
            (strengths_P / 2, self.matrix_UI.indices, self.matrix_UI.indptr), self.matrix_UI.shape
        )

    def first_times(self) -> NDArray[np.float64] | None:
        """Time of each item's first interaction, [I], NaN where unknown; None where there are no times."""
        if self.times_P is None:
            return None
        first_I = np.full(len(self.item_ids), np.inf)
        known_P = np.isfinite(self.times_P)
        np.minimum.at(first_I, self.matrix_UI.indices[known_P], self.times_P[known_P])
        return np.where(np.isfinite(first_I), first_I, np.nan)

    def _newest_U(self) -> NDArray[np.float64]:
        """Time of each user's latest like or dislike, in days; -inf where there is none."""
        newest_U = np.full(len(self.users), -np.inf)
        for one in filter(None, (self, self.dislikes)):
            if one.latest_P is not None:
                np.fmax.at(newest_U, one.users_P, one.latest_P)
        return newest_U

    def _weighed(
        self, weighting: Weighting, strengths_P: NDArray[np.float64], newest_U: NDArray[np.float64]
    ) -> csr_array:
        ages_P = None if self.latest_P is None else np.nan_to_num(newest_U[self.users_P] - self.latest_P)
        factors_P = None if self.events_P is None else weighting.event_factors(self.event_sets)[self.events_P]
        weights_P = weighting.weights(strengths_P, self.n_likes_P, ages_P, factors_P)
        return csr_array((weights_P, self.matrix_UI.indices, self.matrix_UI.indptr), self.matrix_UI.shape)


def make_interactions(
    users_R: pa.ChunkedArray,
    items_R: pa.ChunkedArray,
    users: Sequence[str],
    item_ids: Sequence[str],
    times_R: NDArray[np.float64] | None = None,
) -> Interactions:
    """Make interactions from a table with one row per event.

    Args:
        users_R: user of each row.
        items_R: item of each row.
        users: ids of the user rows; events of other users are left out.
        item_ids: ids of the item rows; events with other items are left out.
        times_R: time of each row, NaN where unknown; a pair's time is its earliest.

    Returns:
        The interactions. A pair counts once. The order of the table does not matter.
    """
    users, item_ids = Strings(users), Strings(item_ids)
    user_R, item_R = users.rows_in(users_R), item_ids.rows_in(items_R)
    known = np.flatnonzero((user_R != UNKNOWN) & (item_R != UNKNOWN))
    n_items = max(1, len(item_ids))
    pair_P, place_R = np.unique(user_R[known] * n_items + item_R[known], return_inverse=True)
    matrix_UI = csr_array(
        (np.ones(len(pair_P)), (pair_P // n_items, pair_P % n_items)), shape=(len(users), len(item_ids))
    )
    return Interactions(item_ids, users, matrix_UI, _earliest(times_R, known, place_R, len(pair_P)))


def with_opinions(
    interactions: Interactions, found: pa.Table, *, of_cold_items: bool = False
) -> Interactions:
    """Add how strong likes are, how often and when they came last, by which events, and dislikes.

    Args:
        interactions: likes.
        found: user, item_id, weight, latest and perhaps n_likes and events, one row per pair, as `feedback.opinions`
            makes them; users and items of other rows are ignored.
        of_cold_items: whether to keep dislikes of items that nobody likes. To learn from, they are left out: such an
            item is cold.

    Returns:
        The same likes. Strengths are None where all are alike.
    """
    user_R, item_R = interactions.rows_in(found)
    n_items = max(1, len(interactions.item_ids))
    weight_R = found["weight"].to_numpy().astype(np.float64)
    latest_R = found["latest"].cast(pa.int64()).to_numpy().astype(np.float64) / DAY_US  # NaN where unknown
    pair_R = user_R * n_items + item_R
    pair_P = interactions.users_P * n_items + interactions.matrix_UI.indices
    is_known_R = (user_R != UNKNOWN) & (item_R != UNKNOWN)
    like_R = np.flatnonzero(is_known_R & (weight_R > 0) & np.isin(pair_R, pair_P))
    place_R = np.searchsorted(pair_P, pair_R[like_R])
    strengths_P, latest_P = np.full(len(pair_P), TYPICAL), np.full(len(pair_P), np.nan)
    strengths_P[place_R], latest_P[place_R] = weight_R[like_R], latest_R[like_R]
    n_likes_P = None
    if N_LIKES in found.column_names:
        n_likes_P = np.ones(len(pair_P), np.int64)
        n_likes_P[place_R] = found[N_LIKES].to_numpy()[like_R]
    events_P, event_sets = None, ()
    if EVENTS in found.column_names:
        known = found[EVENTS].combine_chunks().dictionary_encode()
        event_sets = (None, *known.dictionary.to_pylist())
        events_P = np.zeros(len(pair_P), np.int64)
        events_P[place_R] = pc.fill_null(known.indices, UNKNOWN).to_numpy()[like_R] + 1
    return replace(
        interactions,
        events_P=events_P,
        event_sets=event_sets,
        strengths_P=strengths_P if (strengths_P != TYPICAL).any() else None,
        n_likes_P=n_likes_P,
        latest_P=latest_P if np.isfinite(latest_P).any() else None,
        dislikes=_dislikes(
            interactions, user_R, item_R, is_known_R & (weight_R < 0), latest_R, of_cold_items=of_cold_items
        ),
    )


def _dislikes(
    interactions: Interactions,
    user_R: NDArray[np.int64],
    item_R: NDArray[np.int64],
    is_dislike_R: NDArray[np.bool_],
    latest_R: NDArray[np.float64],
    *,
    of_cold_items: bool,
) -> Interactions | None:
    kept_I = (interactions.n_users_I > 0) | of_cold_items
    rows = np.flatnonzero(is_dislike_R)
    rows = rows[kept_I[item_R[rows]]]
    if not len(rows):
        return None
    rows = rows[np.lexsort((item_R[rows], user_R[rows]))]
    matrix_UI = csr_array((np.ones(len(rows)), (user_R[rows], item_R[rows])), interactions.matrix_UI.shape)
    return Interactions(interactions.item_ids, interactions.users, matrix_UI, latest_P=latest_R[rows])


def _earliest(
    times_R: NDArray[np.float64] | None, known: NDArray[np.int64], place_R: NDArray[np.int64], n_pairs: int
) -> NDArray[np.float64] | None:
    if times_R is None:
        return None
    earliest_P = np.full(n_pairs, np.inf)
    finite = np.isfinite(times_R[known])
    np.minimum.at(earliest_P, place_R[finite], times_R[known][finite])
    return np.where(np.isfinite(earliest_P), earliest_P, np.nan)
