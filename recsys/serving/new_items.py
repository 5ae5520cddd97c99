"""The new items of a release, how uncertain their scores are, and how often each was drawn in this process."""

import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.profiles.item_ids import ItemIds
from recsys.profiles.ridge import Ridge
from recsys.serving.answers import NewCandidates

# Shape suffixes: I live items, C candidates, D dimension.


class Ranked(Protocol):
    """Finds a user's best items, as `recsys.publishing.ranked.RankedSearcher` does."""

    growth: float
    """Factor on inner products with profiles."""

    def search(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None = None,
    ) -> list[tuple[int, float]]:
        """Rows with their scores, best first."""
        ...


class NewItems:
    """The new items of a release: how uncertain their scores are, and how often they were drawn here.

    Args:
        item_ids: of the live items.
        known: ids of items with interactions.
        vectors_of: profiles of some rows.
        ridge: of the users.
        ranked: finds the best items.
    """

    def __init__(
        self,
        item_ids: ItemIds,
        known: pa.Array,
        vectors_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
        ridge: Ridge,
        ranked: Ranked,
    ) -> None:
        self._item_ids = item_ids
        self._vectors_of = vectors_of
        self._ridge = ridge
        self._ranked = ranked
        is_known_I: NDArray[np.bool_] = pc.is_in(item_ids.column, known).to_numpy(zero_copy_only=False)
        self.is_new_I = ~is_known_I
        """Items that nobody has interacted with."""
        self._deviation_I = np.full(len(item_ids), np.nan, np.float32)
        self._n_drawn_I = np.zeros(len(item_ids), np.int32)
        self._lock = threading.Lock()

    def open(
        self,
        exclude: Iterable[int],
        allowed_I: NDArray[np.bool_] | None,
        budget: int,
        only: Sequence[int] | None = None,
    ) -> NDArray[np.bool_]:
        """Which items may be drawn.

        Args:
            exclude: items that must not be.
            allowed_I: items that may be in the list; None: all.
            budget: draws that an item gets at most.
            only: draw among these, whatever their budget; None: among all with budget left.

        Returns:
            A mask over the live items.
        """
        open_I = self.is_new_I & (self._n_drawn_I < budget)
        if only is not None:
            open_I = np.zeros_like(self.is_new_I)
            open_I[list(only)] = self.is_new_I[list(only)]
        if allowed_I is not None:
            open_I &= allowed_I
        open_I[list(exclude)] = False
        return open_I

    def best(
        self, query_D: NDArray[np.float32], history: Sequence[int], open_I: NDArray[np.bool_], pool: int
    ) -> tuple[list[int], NewCandidates]:
        """The open items with the best scores for a user.

        Args:
            query_D: the user's profile.
            history: rows of the user's items.
            open_I: which may be drawn.
            pool: at most so many.

        Returns:
            Their rows, and what a policy knows of them.
        """
        found = self._ranked.search(query_D, history, pool, (), open_I)
        rows = [row for row, _ in found]
        scores_C = np.array([score for _, score in found])
        return rows, NewCandidates(tuple(self._item_ids.at(rows)), scores_C, self._deviations(rows))

    def spend(self, rows: Sequence[int], budget: int) -> bool:
        """Count draws. False, and nothing is counted, if another thread has used up an item's budget meanwhile."""
        with self._lock:
            if (self._n_drawn_I[rows] >= budget).any():
                return False
            self._n_drawn_I[rows] += 1
            return True

    def _deviations(self, rows: Sequence[int]) -> NDArray[np.float64]:
        """Standard deviations of scores, with σ = 1; computed when an item is first a candidate, and kept."""
        places = np.array(rows, np.int64)
        missing = places[np.isnan(self._deviation_I[places])]
        if len(missing):
            deviation_C = self._ridge.deviations(self._vectors_of(missing))
            self._deviation_I[missing] = self._ranked.growth * deviation_C
        return self._deviation_I[places].astype(np.float64)
