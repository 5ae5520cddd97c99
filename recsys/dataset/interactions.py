"""Interactions: one sparse matrix over user rows and item rows, and the first time of each pair."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Shape suffixes: U users, I items, P distinct pairs, R rows of a table.
UNKNOWN = -1


@dataclass(frozen=True)
class Interactions:
    """Which user interacted with which item. Users and items are identified by rows."""

    item_ids: tuple[str, ...]
    users: tuple[str, ...]
    matrix_UI: csr_array
    """float64, 1 for every pair; columns are ascending in each row."""
    times_P: NDArray[np.float64] | None = None
    """First time of each pair, in the order of the matrix: larger is later, NaN is unknown. None: no times at all."""

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
        users_P = np.repeat(np.arange(matrix_UI.shape[0]), np.diff(matrix_UI.indptr))
        places = (users_P[kept_P], matrix_UI.indices[kept_P])
        kept_UI = csr_array((matrix_UI.data[kept_P], places), shape=matrix_UI.shape)
        return replace(
            self, matrix_UI=kept_UI, times_P=None if self.times_P is None else self.times_P[kept_P]
        )

    def only_items(self, kept_I: NDArray[np.bool_]) -> "Interactions":
        """Keep the pairs of some items, over the same rows."""
        return self.only_pairs(kept_I[self.matrix_UI.indices])

    def without(self, items: NDArray[np.int64]) -> "Interactions":
        """Drop the pairs of some items, over the same rows."""
        kept_I = np.ones(len(self.item_ids), bool)
        kept_I[items] = False
        return self.only_items(kept_I)

    def first_times(self) -> NDArray[np.float64] | None:
        """Time of each item's first interaction, [I], NaN where unknown; None where there are no times."""
        if self.times_P is None:
            return None
        first_I = np.full(len(self.item_ids), np.inf)
        known_P = np.isfinite(self.times_P)
        np.minimum.at(first_I, self.matrix_UI.indices[known_P], self.times_P[known_P])
        return np.where(np.isfinite(first_I), first_I, np.nan)


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
    user_R, item_R = (
        pc.fill_null(pc.index_in(column, value_set=pa.array(ids, pa.string())), UNKNOWN).to_numpy()
        for column, ids in ((users_R, users), (items_R, item_ids))
    )
    known = np.flatnonzero((user_R != UNKNOWN) & (item_R != UNKNOWN))
    n_items = max(1, len(item_ids))
    pair_P, place_R = np.unique(user_R[known].astype(np.int64) * n_items + item_R[known], return_inverse=True)
    matrix_UI = csr_array(
        (np.ones(len(pair_P)), (pair_P // n_items, pair_P % n_items)), shape=(len(users), len(item_ids))
    )
    return Interactions(
        tuple(item_ids), tuple(users), matrix_UI, _earliest(times_R, known, place_R, len(pair_P))
    )


def _earliest(
    times_R: NDArray[np.float64] | None, known: NDArray[np.int64], place_R: NDArray[np.int64], n_pairs: int
) -> NDArray[np.float64] | None:
    if times_R is None:
        return None
    earliest_P = np.full(n_pairs, np.inf)
    finite = np.isfinite(times_R[known])
    np.minimum.at(earliest_P, place_R[finite], times_R[known][finite])
    return np.where(np.isfinite(earliest_P), earliest_P, np.nan)
