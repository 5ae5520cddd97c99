"""Lists that the event loop computes: one at a time, and what they read all of is read once for those that wait."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import Response

from recsys.serving.recommender import Recommender
from recsys.serving.user_profiles import User

MOST = 8
"""Lists that are prepared together: the first of them waits for that."""


@dataclass(frozen=True, eq=False)
class Begun:
    """A list whose user's profile is made."""

    recommender: Recommender
    user: User
    finish: Callable[[], Response]


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
                self._look_ahead()
            return begun.finish()

    def _look_ahead(self) -> None:
        """Prepare those that wait, as far as each release allows. A list whose client has left may be among them."""
        some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        users_of: dict[Recommender, list[User]] = defaultdict(list)
        for one in some:
            users_of[one.recommender].append(one.user)
        for recommender, users in users_of.items():
            recommender.look_ahead(users)
