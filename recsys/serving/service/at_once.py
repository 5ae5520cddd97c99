"""Lists that the event loop computes: one at a time, and what they read all of is read once for those that wait."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Response

from recsys.errors import RecsysError
from recsys.serving.answers import Taste
from recsys.serving.recommender import Recommender
from recsys.serving.user_profiles import User

MOST = 8
"""Lists that are prepared together: the first of them waits for that."""


@dataclass(eq=False)
class Begun:
    """A list that was asked for."""

    recommender: Recommender
    taste: Taste
    finish: Callable[[User], Response]
    """Computes the list."""
    user: User | None = None
    """Once the list is prepared."""


class AtOnce:
    """The lists that wait for their turn, in the order in which they came."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting: list[Begun] = []

    async def finish(self, begun: Begun) -> Response:
        """Compute a list when its turn has come.

        Args:
            begun: the list.

        Returns:
            Its answer.
        """
        self._waiting.append(begun)
        async with self._turn:
            await asyncio.sleep(0)  # in between the loop reads what arrived, and says that it lives
            if begun in self._waiting:
                self._prepare()
            return begun.finish(begun.user or begun.recommender.users([begun.taste])[0])

    def _prepare(self) -> None:
        """Prepare those that wait. A list whose client has left may be among them."""
        some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        of_release: dict[Recommender, list[Begun]] = defaultdict(list)
        for one in some:
            of_release[one.recommender].append(one)
        for recommender, lists in of_release.items():
            with suppress(RecsysError, ValueError):  # whose fault it is shows when each is computed alone
                users = recommender.users([one.taste for one in lists])
                for one, user in zip(lists, users, strict=True):
                    one.user = user
