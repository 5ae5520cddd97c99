"""The list for a user about whom nothing is known: popular items, with a share of new ones."""

from collections.abc import Collection
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.publishing.released_profiles import Profiles
from recsys.serving.answers import Scored

# Shape suffix: I live items.
UNKNOWN_TIME = np.iinfo(np.int64).min + 1
"""Time of an item without a time of update: before all others."""
NEW_EVERY = 5
"""One place in this many goes to a new item. Otherwise items that nobody has clicked could never be clicked."""


class Popular:
    """Items by the number of users who like them, and items that nobody likes by their age.

    Args:
        profiles: of the release.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def best(
        self,
        k: int,
        exclude: Collection[int],
        allowed_I: NDArray[np.bool_] | None,
        promising: list[int] | None = None,
    ) -> list[Scored]:
        """Popular items, each `NEW_EVERY`th place a new one.

        Args:
            k: length of the list.
            exclude: items that must not be in it.
            allowed_I: items that may be in it; None: all.
            promising: new items among those that may be in it, best first; None: the newest first.

        Returns:
            At most k items; the score is the share of users who like the item, 0 for a new one.
        """
        known = self._left(self._by_likes, exclude, allowed_I, k)
        new = self._left(self._by_age, exclude, allowed_I, k) if promising is None else list(promising)
        chosen: list[int] = []
        while len(chosen) < k and (known or new):
            is_turn_of_new = (len(chosen) + 1) % NEW_EVERY == 0
            chosen.append((new if new and (is_turn_of_new or not known) else known).pop(0))
        n_users = max(1, len(self._profiles.histories.users))
        ids = self._profiles.latest.item_ids
        return [Scored(ids[row], float(self.likes_I[row] / n_users)) for row in chosen]

    @staticmethod
    def _left(
        order: NDArray[np.int32], exclude: Collection[int], allowed_I: NDArray[np.bool_] | None, k: int
    ) -> list[int]:
        """The first k items of an order that may be in a list. The order is read only as far as needed."""
        skipped = np.fromiter(exclude, np.int64, len(exclude))
        kept: list[int] = []
        start, width = 0, k + len(exclude)
        while start < len(order) and len(kept) < k:
            some = order[start : start + width]
            if allowed_I is not None:
                some = some[allowed_I[some]]
            kept += some[~np.isin(some, skipped)].tolist()
            start, width = start + width, 2 * width
        return kept[:k]

    @cached_property
    def likes_I(self) -> NDArray[np.int32]:
        """Users who like each item."""
        return self._profiles.histories.likes_of(self._profiles.latest.item_ids.column)

    @cached_property
    def newest_at(self) -> datetime | None:
        """When the newest item was updated, UTC; None where no item says."""
        newest = int(self._updated().max(initial=UNKNOWN_TIME))
        return None if newest == UNKNOWN_TIME else datetime.fromtimestamp(newest / 1e6, UTC)

    @cached_property
    def _by_likes(self) -> NDArray[np.int32]:
        """Items that somebody likes, most liked first, then by id."""
        rows = np.flatnonzero(self.likes_I)
        ids = self._profiles.latest.item_ids.column.take(pa.array(rows)).to_numpy(zero_copy_only=False)
        return rows[np.lexsort((ids, -self.likes_I[rows]))].astype(np.int32)

    @cached_property
    def _by_age(self) -> NDArray[np.int32]:
        """Items that nobody likes, last updated first; of one time, what landed later first."""
        rows = np.flatnonzero(self.likes_I == 0)
        return rows[np.lexsort((-rows, -self._updated()[rows]))].astype(np.int32)

    def _updated(self) -> NDArray[np.int64]:
        """[I], microseconds since 1970; the smallest number where no time is known."""
        latest = self._profiles.latest
        updated_I = np.full(len(latest.item_ids), UNKNOWN_TIME)
        bounds = latest.bounds(len(self._profiles.segments))
        for segment, start, end in zip(self._profiles.segments, bounds[:-1], bounds[1:], strict=True):
            column = segment.rows(["updated_at"])["updated_at"].cast(pa.int64()).combine_chunks()
            times = column.fill_null(UNKNOWN_TIME).to_numpy()
            updated_I[start:end] = times[latest.row_of_item[start:end]]
        return updated_I
