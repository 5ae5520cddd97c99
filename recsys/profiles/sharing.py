"""Which items are in XᵀX, the matrix that all users share.

Without noise and other sites these are the items that somebody likes.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from recsys.profiles.histories import Histories
from recsys.profiles.item_likes import SCHEMA, ItemLikes, Site, merged
from recsys.profiles.like_counts import LikeCounts
from recsys.profiles.params import PrivacyParams, UsersParams
from recsys.profiles.privacy import noise_scale, noisy_sums
from recsys.profiles.users_summary import Guarantee
from recsys.storage.checksums import key_of

LATE = timedelta(days=1)
"""Events may land so long after they happened, and still be in the first sums of their period."""
ALONE = "alone"
"""Name of a site that has none."""


@dataclass(frozen=True)
class Shared:
    """What is learned from all users."""

    items: pa.Array
    """Ids of the items of X; perhaps more than have a profile."""
    n_users: int
    """Of this workspace; with noise an estimate."""
    guarantee: Guarantee | None = None
    """None: without noise."""


@dataclass(frozen=True)
class Sharing:
    """How users' likes become what is shared."""

    privacy: PrivacyParams
    site: str = ALONE
    """Name of this workspace among the sites."""
    others: ItemLikes | None = None
    """Likes of other sites."""
    secret: bytes = b""
    """Key of the noise and of digests, see `recsys/profiles/privacy.py`; needed for both."""
    users: UsersParams | None = None
    """Section `users`, which has the weight of the prior of models without a λ; None: they have no prior."""

    @property
    def key(self) -> str:
        """Names everything here that the result depends on; empty where it is as without this module."""
        if self.privacy.epsilon is None and self.others is None:
            return ""
        plain = [
            self.privacy.model_dump(exclude={"allow_exact"}),
            self.others.file_name() if self.others else None,
        ]
        if self.privacy.epsilon is not None:
            plain.append(hashlib.sha256(self.secret).hexdigest()[:16])
        return key_of(plain)

    def prior_weight(self, chosen_lambda: float | None, chosen: float | None) -> float:
        """The weight of the prior in releases of a model, see `UsersParams.prior_or`."""
        return self.users.prior_or(chosen_lambda, chosen, self.privacy) if self.users else 0.0

    def of(
        self,
        likes: LikeCounts,
        histories: Callable[[], Histories],
        item_ids: pa.Array,
        landed_at: Iterable[datetime],
    ) -> Shared:
        """What is shared, from the likes of all users.

        Args:
            likes: of this workspace.
            histories: reads those of all its users; called with noise.
            item_ids: of all items with a profile; read with noise.
            landed_at: when the files landed that all of it was made of; read with noise.

        Returns:
            Items of X, and the guarantee.

        Raises:
            ReleaseError: this site is among the others.
        """
        if not self.key:
            return Shared(likes.items, likes.n_users)
        own = self.likes_of(likes, histories, item_ids, landed_at)
        site = own.sites[0]
        guarantee = None
        if site.epsilon is not None and site.delta is not None:
            guarantee = Guarantee(epsilon=site.epsilon, delta=site.delta, statistics=site.digest)
        both = own if self.others is None else merged([own, self.others])
        return Shared(both.liked, site.n_users, guarantee)

    def likes_of(
        self,
        likes: LikeCounts,
        histories: Callable[[], Histories],
        item_ids: pa.Array,
        landed_at: Iterable[datetime],
    ) -> ItemLikes:
        """Likes by item of this workspace, as they may leave it: exact, or with noise where there is privacy.

        Args:
            likes: see `of`.
            histories: likewise.
            item_ids: likewise.
            landed_at: likewise.

        Returns:
            With noise a row for each of the items, and only for them; without, for each liked item.
        """
        if self.privacy.epsilon is not None:
            return self._noisy(histories(), item_ids, landed_at)
        table = likes.table.append_column("sum", pa.array([0] * likes.table.num_rows, pa.int64()))
        digest = hmac.digest(self.secret, json.dumps(table.to_pydict()).encode(), "sha256").hex()[:16]
        return ItemLikes(table.cast(SCHEMA), (Site(name=self.site, digest=digest, n_users=likes.n_users),))

    def _noisy(self, histories: Histories, item_ids: pa.Array, landed_at: Iterable[datetime]) -> ItemLikes:
        epsilon, delta = self.privacy.epsilon, self.privacy.delta
        assert epsilon is not None
        until = counted_until(self.privacy.period_days, landed_at)
        pairs = histories.pairs
        if until is not None:
            is_early = pc.less(pairs["timestamp"], pa.scalar(until, pairs["timestamp"].type))
            pairs = pairs.filter(pc.fill_null(is_early, True))
        ids = pc.sort_indices(item_ids)
        ordered = item_ids.take(ids)
        found = noisy_sums(pairs, ordered, noise_scale(epsilon, delta), self.secret, str(until))
        columns = [ordered, pa.array([0] * len(ordered), pa.int64()), pa.array(found.sums_I)]
        site = Site(name=self.site, digest=found.digest, n_users=found.n_users, epsilon=epsilon, delta=delta)
        return ItemLikes(pa.table(columns, schema=SCHEMA), (site,))


NOTHING_SHARED = Sharing(PrivacyParams(epsilon=None, delta=1e-7, period_days=0, allow_exact=False))
"""Neither noise nor other sites."""


def counted_until(period_days: float, landed_at: Iterable[datetime]) -> datetime | None:
    """The end of the last whole period: later likes wait for the next one.

    It follows from when files landed. The times of users' events must not move it: then one user could change what is
    counted of all others.

    Args:
        period_days: length; 0: there are no periods.
        landed_at: of the files, in any order.

    Returns:
        A time, UTC; None where all likes count.
    """
    newest = max(landed_at, default=None)
    if period_days == 0 or newest is None:
        return None
    start, period = datetime(1970, 1, 1, tzinfo=UTC), timedelta(days=period_days)
    return start + (newest - LATE - start) // period * period
