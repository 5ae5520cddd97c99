"""How much words, text and each view count in the profiles of a release's live items."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from recsys.profiles.items import Latest, Segment


@dataclass(frozen=True)
class ItemShares:
    """Shares by part of the head; a segment's are read when an item of it is asked about."""

    segments: Sequence[Segment]
    latest: Latest

    def of(self, row: int) -> dict[str, float]:
        """Shares in a live item's profile.

        Args:
            row: its row among the live items.

        Returns:
            Part -> share; they sum to 1. Empty where the head joins no views, and in a release from before shares.
        """
        position = int(self.latest.segment_of_item[row])
        if position not in self._read:
            segment = self.segments[position]
            self._read[position] = segment.shares() if segment.has_shares else None
        table = self._read[position]
        if table is None:
            return {}
        found: dict[str, float] = table.slice(int(self.latest.row_of_item[row]), 1).to_pylist()[0]
        return found

    @cached_property
    def _read(self) -> dict[int, pa.Table | None]:
        return {}
