"""A release's items by id: their rows, and what a page shows of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from recsys.errors import UnknownItem
from recsys.publishing.released_profiles import Profiles
from recsys.serving.arguments import known_rows
from recsys.storage.strings import UNKNOWN

SHOWN = ("title", "description", "tags", "image", "attributes")
"""What an answer shows of an item."""
NOT_SHOWN = ("item_id", "updated_at")


class Items:
    """Items of one release.

    Args:
        profiles: of the release.
    """

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles

    def row(self, item: str | int) -> int:
        """An item's position among the live ones.

        Args:
            item: its id.

        Returns:
            The position.

        Raises:
            UnknownItem: the release does not hold it.
        """
        rows, unknown = known_rows([item], self._profiles.latest.item_ids)
        if unknown:
            raise UnknownItem(
                f"item {unknown[0]!r} is not in release {self._profiles.manifest.id}",
                remedy="`Release.items` has its ids; `recsys status` shows what waits to be published; a deleted item "
                "has no profile",
            )
        return rows[0]

    def ids_of(self, rows: Sequence[int]) -> list[str]:
        """The ids of some rows."""
        return list(self._profiles.latest.item_ids.at(rows))

    def details_of(self, item_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What a page shows of items.

        Args:
            item_ids: of the release.

        Returns:
            For each title, tags, image, attributes and description; empty in a release from before it held them.

        Raises:
            UnknownItem: the release does not hold one of them.
        """
        if self._profiles.details is None or not item_ids:
            return [{} for _ in item_ids]
        rows = self._profiles.latest.item_ids.rows_of(item_ids)
        for place in np.flatnonzero(rows == UNKNOWN).tolist():
            self.row(item_ids[place])
        return [
            {name: one[name] for name in SHOWN} | {"tags": one["tags"] or []}
            for one in self._profiles.details.rows(rows, NOT_SHOWN)
        ]

    def titles_of(self, item_ids: Sequence[str]) -> dict[str, str]:
        """Titles by id, of those that have one."""
        details = self.details_of(item_ids)
        return {item: one["title"] for item, one in zip(item_ids, details, strict=True) if one.get("title")}

    def fields_of(self, row: int) -> dict[str, Any]:
        """Fields of an item as a catalogue has them, as far as the release holds them: a long text is cut there."""
        if self._profiles.details is None:
            return {}
        (found,) = self._profiles.details.rows(np.array([row]))
        fields: dict[str, Any] = found["attributes"] | found
        return fields
