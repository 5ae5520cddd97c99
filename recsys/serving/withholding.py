"""Which items of a release may be in no list now, see `recsys/publishing/withheld.py`."""

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recsys.publishing.released_profiles import Profiles
from recsys.publishing.withheld import Withheld, in_force
from recsys.serving.arguments import known_rows
from recsys.serving.filters import TAGS, Filters

# Shape suffix: I live items.


def now_utc() -> datetime:
    """The time now."""
    return datetime.now(UTC)


class Withholding:
    """Masks of items that may be in lists. Shared between threads.

    Args:
        profiles: of the release.
        filters: of the same.
        clock: tells the time.
    """

    def __init__(self, profiles: Profiles, filters: Filters, clock: Callable[[], datetime] = now_utc) -> None:
        self._profiles, self._filters, self._clock = profiles, filters, clock
        self._entries = profiles.manifest.withheld
        self._lock = threading.Lock()
        self._made: tuple[tuple[Withheld, ...], NDArray[np.bool_]] | None = None

    def allowed(self) -> NDArray[np.bool_] | None:
        """Items that are not withheld now, bool [I], not to be written to; None where all may be in lists."""
        applied = in_force(self._entries, self._clock())
        if not applied:
            return None
        with self._lock:
            if self._made is None or self._made[0] != applied:
                allowed_I = ~self._withheld(applied)
                allowed_I.setflags(write=False)
                self._made = applied, allowed_I
            return self._made[1]

    def why(self, item_row: int) -> str | None:
        """Why an item is withheld now, for people; None where it is not."""
        reasons = [
            one.sentence for one in in_force(self._entries, self._clock()) if self._withheld([one])[item_row]
        ]
        return "; ".join(reasons) or None

    def _withheld(self, entries: Sequence[Withheld]) -> NDArray[np.bool_]:
        ids = self._profiles.latest.item_ids
        withheld_I = np.zeros(len(ids), np.bool_)
        rows, _ = known_rows([item for one in entries for item in one.items], ids)
        withheld_I[rows] = True
        if tags := [tag for one in entries for tag in one.tags]:
            has_tag_I = self._filters.allowed({TAGS: tags})
            if has_tag_I is not None:
                withheld_I |= has_tag_I
        return withheld_I
