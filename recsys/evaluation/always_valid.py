"""Click-through of two groups of users, and an always-valid interval for their difference.

An ordinary interval is valid for one planned look. Looking every day, and stopping when it excludes zero, gives far
more errors than its level says. The interval here is valid for all looks together: the probability that it ever
excludes the true difference is at most alpha.

It is Robbins' normal mixture: Robbins 1970, Annals of Mathematical Statistics 41(5), in the form of Howard, Ramdas,
McAuliffe and Sekhon 2021, Annals of Statistics 49(2), equation 14. With the variance estimated it is an asymptotic
confidence sequence: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Annals of Statistics 52(6). The variance is
clustered by user, because one user's lists are alike. Package `confseq` has the same bound. It is not used: its last
release builds from C++ source, for two lines of arithmetic.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Shape suffix: U users. The fields of `GroupSums` may also be arrays, one entry per simulated trial.
MIN_USERS = 30
"""Users that each group needs. With fewer, the variance is too uncertain, and there is no interval."""
Number = float | NDArray[np.float64]


@dataclass(frozen=True)
class GroupSums:
    """Sums over the users of one group. Each user has lists, and at most as many clicks."""

    n_users: Number
    lists: Number
    clicks: Number
    lists_squared: Number
    clicks_squared: Number
    lists_times_clicks: Number

    @classmethod
    def of(cls, lists_U: NDArray[np.integer], clicks_U: NDArray[np.integer]) -> Self:
        """Add users up.

        Args:
            lists_U: lists that each user was given, at least one.
            clicks_U: clicks of each; more than lists count as many as there are lists.

        Returns:
            The sums.
        """
        lists = lists_U.astype(np.float64)
        clicks = np.minimum(clicks_U.astype(np.float64), lists)
        return cls(
            n_users=float(len(lists)),
            lists=float(lists.sum()),
            clicks=float(clicks.sum()),
            lists_squared=float(lists @ lists),
            clicks_squared=float(clicks @ clicks),
            lists_times_clicks=float(lists @ clicks),
        )

    @property
    def rate(self) -> Number:
        """Clicks per list, in [0, 1]; 0 where there was no list."""
        return self.clicks / np.maximum(self.lists, 1)

    @property
    def variance(self) -> Number:
        """Variance of `rate` over users, at least the variance of independent lists.

        The lower bound, with one click and one list without a click added, keeps a group without clicks from looking
        certain.

        Source: delta method; Deng, Knoblich and Lu 2018, KDD.
        """
        rate, lists = self.rate, np.maximum(self.lists, 1)
        squares = self.clicks_squared - 2 * rate * self.lists_times_clicks + rate**2 * self.lists_squared
        by_users = squares * self.n_users / np.maximum(self.n_users - 1, 1) / lists**2
        smoothed = (self.clicks + 1) / (lists + 2)
        found: Number = np.maximum(by_users, smoothed * (1 - smoothed) / lists)
        return found


@dataclass(frozen=True)
class Difference:
    """Click-through of group B minus that of group A."""

    value: Number
    low: Number
    high: Number


def difference(a: GroupSums, b: GroupSums, alpha: float, effect: float) -> Difference:
    """The difference in click-through, with its always-valid interval.

    Args:
        a: the group that it is compared with.
        b: the other group.
        alpha: chance that the interval ever excludes the true difference, in (0, 1).
        effect: difference that is looked for; the interval is tightest for about this one. To be set before the data
            are looked at.

    Returns:
        The difference; its interval is [-1, 1] while a group has fewer than `MIN_USERS` users.

    Raises:
        ValueError: alpha or effect is out of range.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    if effect <= 0:
        raise ValueError(f"effect must be above 0, got {effect}")
    value, variance, prior = b.rate - a.rate, a.variance + b.variance, effect**2
    bound = 2 * np.log(1 / alpha) + np.log1p(prior / variance)
    radius = np.sqrt(variance * (variance + prior) / prior * bound)
    is_enough = np.minimum(a.n_users, b.n_users) >= MIN_USERS
    low = np.where(is_enough, np.maximum(value - radius, -1), -1.0)
    high = np.where(is_enough, np.minimum(value + radius, 1), 1.0)
    return Difference(value, low, high)
