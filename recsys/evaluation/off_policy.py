"""Off-policy evaluation: what another policy would earn, estimated from a log of choices with known probabilities.

A row of the log is one choice: a policy chose among actions, such as items for a place, and a reward followed. With
w = (probability of the action under the target policy) / (its probability when it was drawn), and r the reward:

    IPS    mean of w·r                          unbiased; varies much where few rows carry most of the weight
    SNIPS  Σ w·r / Σ w                          slightly biased, varies less, and stays within the rewards' range
    DR     mean of q̄ + w·(r - q)                unbiased; varies less the better the reward model q is

q is the reward that a model expects of the logged action, q̄ what it expects of the target policy in that situation. The
model must not be fitted on the row it predicts.

All three need a logging policy under which every action that the target may choose has a probability above 0. A mean
weight far from 1 shows that this does not hold, or that the probabilities are wrong.

Sources: IPS, Horvitz & Thompson 1952; SNIPS, Swaminathan & Joachims 2015, NeurIPS; DR, Dudík, Langford & Li 2011, ICML.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.ranking.intervals import Interval, resamples

# Shape suffixes: N logged choices, G groups, B bootstrap rounds.
LEAST_GROUPS = 10
"""Groups with weight that an interval needs; with fewer there is none."""
FEW = 100
"""Below this effective sample size, estimates come with a warning."""
LARGE_SHARE = 0.1
"""A warning is due if one row has more than this share of the weight."""


@dataclass(frozen=True)
class LoggedChoices:
    """A log, with the probabilities of the target policy. Bad values raise ValueError, which names the row."""

    reward_N: NDArray[np.float64]
    propensity_N: NDArray[np.float64]
    """Probability of the logged action when it was drawn, in (0, 1]."""
    target_N: NDArray[np.float64]
    """Probability of the same action under the target policy, in [0, 1]."""
    group_N: NDArray[np.int64] | None = None
    """Rows of one group, such as a user, depend on each other and are resampled together; None: each row alone."""
    predicted_N: NDArray[np.float64] | None = None
    """q; None: no reward model, no DR."""
    expected_N: NDArray[np.float64] | None = None
    """q̄ = Σ over actions of (target probability) x (predicted reward)."""

    def __post_init__(self) -> None:
        if not len(self.reward_N):
            raise ValueError("the log is empty")
        if (self.predicted_N is None) != (self.expected_N is None):
            raise ValueError("a reward model gives both predicted and expected rewards")
        for name in ("reward", "propensity", "target", "group", "predicted", "expected"):
            values_N = getattr(self, f"{name}_N")
            if values_N is None:
                continue
            if values_N.shape != self.reward_N.shape:
                raise ValueError(f"{name} has {values_N.size} rows, reward {self.reward_N.size}")
            _require(name, values_N, np.isfinite(values_N), "a finite number")
        low_N = self.propensity_N > 0
        _require("propensity", self.propensity_N, low_N & (self.propensity_N <= 1), "above 0 and at most 1")
        _require("target", self.target_N, (self.target_N >= 0) & (self.target_N <= 1), "in [0, 1]")

    @property
    def weight_N(self) -> NDArray[np.float64]:
        """w, the importance of each row."""
        return self.target_N / self.propensity_N


@dataclass(frozen=True)
class Estimates:
    """The mean reward of the target policy, estimated in several ways, each with a 95 % interval."""

    n: int
    n_groups: int
    logged: Interval
    """Mean reward of the policy that wrote the log."""
    ips: Interval
    snips: Interval
    dr: Interval | None
    """Doubly robust estimate; None without a reward model."""
    mean_weight: Interval
    effective_n: float
    """(Σ w)² / Σ w²: the number of rows of equal weight that would be as informative (Kish 1965)."""
    largest_share: float
    """The largest share of the total weight on one row."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why these figures may mislead."""
        found = []
        if self.effective_n < FEW:
            found.append(
                f"the effective sample size is {self.effective_n:.0f} of {self.n:,} rows: the intervals are too "
                "narrow rather than too wide; log more, or ask for a policy nearer to the one that was logged"
            )
        if self.largest_share > LARGE_SHARE:
            found.append(f"one row has {self.largest_share:.0%} of the weight")
        if not self.mean_weight.low <= 1 <= self.mean_weight.high:
            found.append(
                f"the mean weight is {self.mean_weight.mean:.3f} and should be 1: some actions of the target had no "
                "chance in the log, or the probabilities are not those that were drawn by"
            )
        return tuple(found)


def estimate(log: LoggedChoices, rounds: int = 2000, seed: int = 0) -> Estimates:
    """Estimate the target policy's mean reward per choice.

    Args:
        log: the choices.
        rounds: bootstrap resamples of groups.
        seed: of the resampling.

    Returns:
        The estimates; all intervals are percentiles (2.5 % to 97.5 %) over the same resamples.

    Raises:
        ValueError: fewer than `LEAST_GROUPS` groups have weight: the target rarely chooses what was logged.
    """
    weight_N = log.weight_N
    group_N, n_groups = _groups(log)
    n_with_weight = len(np.unique(group_N[weight_N > 0]))
    if n_with_weight < LEAST_GROUPS:
        raise ValueError(
            f"the target policy would choose what was logged in {n_with_weight} of {n_groups} groups; "
            f"an estimate needs {LEAST_GROUPS}"
        )
    columns = [np.ones(len(weight_N)), weight_N, log.reward_N, weight_N * log.reward_N]
    if log.predicted_N is not None and log.expected_N is not None:
        columns.append(log.expected_N + weight_N * (log.reward_N - log.predicted_N))
    sums_GM = np.stack([np.bincount(group_N, one, n_groups) for one in columns], axis=1)
    drawn_BM = np.concatenate([drawn_BG @ sums_GM for drawn_BG in resamples(n_groups, rounds, seed)])
    total_M = sums_GM.sum(axis=0)

    def ratio(upper: int, lower: int) -> Interval:
        is_defined_B = (
            drawn_BM[:, lower] > 0
        )  # of ten groups with weight a resample holds none once in 20,000
        low, high = np.percentile(drawn_BM[is_defined_B, upper] / drawn_BM[is_defined_B, lower], [2.5, 97.5])
        return Interval(mean=float(total_M[upper] / total_M[lower]), low=float(low), high=float(high))

    return Estimates(
        n=len(weight_N),
        n_groups=n_groups,
        logged=ratio(2, 0),
        ips=ratio(3, 0),
        snips=ratio(3, 1),
        dr=ratio(4, 0) if len(columns) > 4 else None,
        mean_weight=ratio(1, 0),
        effective_n=float(weight_N.sum() ** 2 / (weight_N**2).sum()),
        largest_share=float(weight_N.max() / weight_N.sum()),
    )


def _groups(log: LoggedChoices) -> tuple[NDArray[np.int64], int]:
    """Groups numbered from 0, and how many there are."""
    if log.group_N is None:
        return np.arange(len(log.reward_N)), len(log.reward_N)
    names, group_N = np.unique(log.group_N, return_inverse=True)
    return group_N.astype(np.int64), len(names)


def _require(name: str, values_N: NDArray[np.float64], is_good_N: NDArray[np.bool_], should_be: str) -> None:
    if not is_good_N.all():
        row = int(np.argmin(is_good_N))
        raise ValueError(f"{name} should be {should_be}, row {row + 1} has {float(values_N[row])!r}")
