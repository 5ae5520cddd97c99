"""The audience of a new item: the share of sampled users who would get it in their lists."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.publishing.ranked import RankedSearcher
from recsys.publishing.released_profiles import Profiles
from recsys.serving.user_profiles import UserProfiles

# Shape suffixes: U sampled users, D dimension.
N_USERS = 200
K = 10
"""Length of these lists."""


class Audience:
    """Sampled users of one release.

    Args:
        profiles: of the release.
        users: of the same.
        ranked: finds a user's best items. A second ranker is not asked: it would have to rank the profile too.
    """

    def __init__(
        self,
        profiles: Profiles,
        users: UserProfiles,
        ranked: RankedSearcher,
    ) -> None:
        self._profiles, self._users, self._ranked = profiles, users, ranked

    def sample(self) -> None:
        """Draw the users. Takes seconds."""
        _ = self._sampled

    def share(self, profile_D: NDArray[np.float32]) -> float | None:
        """Share of the sampled users who would get an item with this profile in their lists.

        Args:
            profile_D: of an item.

        Returns:
            None before `sample`, and where no user likes anything.
        """
        if "_sampled" not in self.__dict__:
            return None
        queries_UD, last_U = self._sampled
        return float((queries_UD @ profile_D * self._ranked.growth > last_U).mean()) if len(last_U) else None

    @cached_property
    def _sampled(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Profiles of some users [U, D], and the score of the last of each one's best items."""
        users = self._profiles.histories.users
        drawn = np.random.default_rng(0).permutation(len(users))[:N_USERS]
        queries, last = [], []
        for user in sorted(drawn.tolist()):
            one = self._users.user(self._users.taste_of(users[user]))
            rows, query_D = one.known.likes, one.query_D
            if query_D is not None:
                found = self._ranked.search(query_D, rows, K, {*rows, *one.known.dislikes}, None, one.share)
                queries.append(query_D)
                last.append(found[-1][1] if len(found) == K else -np.inf)
        if not queries:
            return np.empty((0, self._profiles.manifest.model.dim), np.float32), np.empty(0)
        return np.stack(queries), np.array(last)
