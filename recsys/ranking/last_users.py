"""What a scorer computed for the users that it scored last: many candidates are scored piece by piece for the same."""

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Kept = TypeVar("Kept")


class LastUsers(Generic[Kept]):
    """Keeps one result, which must depend on nothing but the scorer and the users, and is not to be changed."""

    def __init__(self) -> None:
        self._last: tuple[NDArray[np.int64], Kept] | None = None

    def of(self, users: NDArray[np.int64], compute: Callable[[], Kept]) -> Kept:
        """What was computed for these users.

        Args:
            users: user rows.
            compute: called where others were scored last.

        Returns:
            The result.
        """
        last = self._last  # read once: another thread may score other users
        if last is None or not np.array_equal(last[0], users):
            self._last = last = users.copy(), compute()
        return last[1]
