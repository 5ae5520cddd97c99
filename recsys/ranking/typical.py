"""The typical history: what users like on average. It complements the history of users about whom little is known.

A history is a vector over items, 1 for each item that the user likes. For a user about whom n things are known it
becomes:

    h + p · max(0, 1 - n / ENOUGH) · t

where t sums to 1 and holds each item's share of all likes, and p is `search.typical_weight`. Profiles and rankers are
linear in histories, so they read t like any other history. A new item is scored by its profile.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Shape suffixes: I items, T items of the typical history.
ENOUGH = 20
"""A user about whom this many things are known gets no share of the typical history."""
MOST_ITEMS = 1000
"""Only the most liked items are used, which bounds the work."""


@dataclass(frozen=True)
class Typical:
    """The typical history."""

    rows_T: NDArray[np.int64]
    """Item rows, ascending."""
    shares_T: NDArray[np.float64]
    """Share of all likes that each item has, [T]; they sum to 1."""

    @classmethod
    def of(cls, n_users_I: NDArray[np.integer]) -> Self | None:
        """Make it from the number of users who like each item; None where nobody likes anything.

        Args:
            n_users_I: of each item; of equal numbers the smaller row counts.

        Returns:
            The history.
        """
        liked = np.flatnonzero(n_users_I)
        if not len(liked):
            return None
        rows_T = np.sort(liked[np.argsort(-n_users_I[liked], kind="stable")][:MOST_ITEMS])
        return cls(rows_T, n_users_I[rows_T] / n_users_I[rows_T].sum())

    def profile(self, vectors_TD: NDArray[np.floating]) -> NDArray[np.float64]:
        """What it adds to the sum of a user's item profiles, [D].

        Args:
            vectors_TD: profiles of `rows_T`.

        Returns:
            The mean profile of a like.
        """
        return self.shares_T @ vectors_TD.astype(np.float64)

    def history(self, n_items: int) -> csr_array:
        """The typical history as one row over all items, [1, I]."""
        return csr_array((self.shares_T, (np.zeros(len(self.rows_T), int), self.rows_T)), shape=(1, n_items))


def typical_share(weight: float, n_known: int) -> float:
    """How much of the typical history a user takes, in liked items.

    Args:
        weight: of a user of whom nothing is known.
        n_known: items that the user likes, and one for words about the user.

    Returns:
        From `weight` down to 0.
    """
    return weight * max(0.0, 1 - n_known / ENOUGH)
