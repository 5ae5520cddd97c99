"""Is a figure of an arrival ordinary? Earlier arrivals decide, by how much they differ among themselves.

Arrivals differ more than random samples of one catalogue would, since each comes from one supplier. So a figure is
predicted by a random-effects model: variance within arrivals (by the number of rows) plus variance between arrivals,
estimated from the catalogue's own past. Laney's p'-chart sets its limits in the same way. With few arrivals the
variance is uncertain, and Student's t widens the limits.

Why no library: evidently 0.7 cannot be imported with pandas 3, alibi-detect needs TensorFlow, and nannyml pins an old
LightGBM. Each compares one batch with one reference, so where arrivals differ every week, there would be alarms every
week. scipy.stats has the distributions; the rest is below.

Sources: Laney 2002, Improved Control Charts for Attributes; DerSimonian & Laird 1986, Meta-analysis in Clinical Trials;
Higgins, Thompson & Spiegelhalter 2009, A re-evaluation of random-effects meta-analysis (prediction by t).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

Side = Literal["both", "upper", "lower"]
"""The direction in which a figure must become unusual to cause an alarm."""
BEYOND = 1 / 500
"""Share of ordinary arrivals that pass the margin if figures have an exponential tail; far fewer if a normal one.
Figures of different suppliers have longer tails than Student's t."""
POWER = 0.95
"""Probability with which `Judgement.smallest` would be noticed."""


@dataclass(frozen=True)
class Measured:
    """A figure of one arrival."""

    value: float
    error: float
    """Standard deviation of the figure by chance, given the number of rows; above 0."""


@dataclass(frozen=True)
class Judgement:
    """A figure beside what was to be expected."""

    value: float
    expected: float
    deviation: float
    """Standard deviation of the prediction: chance within the arrival, variance between arrivals, uncertainty of the
    mean."""
    p: float
    """Probability of a figure at least so far out in an ordinary arrival."""
    n_past: int
    below: float = 0.0
    """How many deviations below the expected value the furthest earlier arrival lies; at least 0."""
    above: float = 0.0
    """How many deviations above it; at least 0."""

    @property
    def z(self) -> float:
        """Deviations above the expected value; negative below it."""
        return (self.value - self.expected) / self.deviation

    @property
    def furthest(self) -> float:
        """`above` or `below`, on the side of the figure itself."""
        return self.above if self.z > 0 else self.below

    @property
    def is_extreme(self) -> bool:
        """Whether the figure lies further out than that of every earlier arrival on its side, by the margin.

        An ordinary arrival lies above all n earlier ones with probability 1 / (n + 1), whatever the distribution.
        """
        return abs(self.z) > margin(self.n_past) * self.furthest


def judge(now: Measured, past: Sequence[Measured], side: Side) -> Judgement:
    """Compare a figure with those of earlier arrivals.

    Args:
        now: of the arrival.
        past: of at least two earlier ones.
        side: in which direction it may alarm.

    Returns:
        The judgement.
    """
    from scipy.stats import t

    x, variance = np.array([one.value for one in past]), np.array([one.error**2 for one in past])
    between = between_variance(x, variance)
    weights = 1 / (variance + between)
    expected = float(weights @ x / weights.sum())
    deviation = float(np.sqrt(now.error**2 + between + 1 / weights.sum()))
    z, z_past = (now.value - expected) / deviation, (x - expected) / np.sqrt(variance + between)
    out = {"both": abs(z), "upper": z, "lower": -z}[side]
    p = min(1.0, float(t.sf(out, len(past) - 1)) * (2 if side == "both" else 1))
    below, above = max(0.0, float(-z_past.min())), max(0.0, float(z_past.max()))
    return Judgement(now.value, expected, deviation, p, len(past), below, above)


@lru_cache(maxsize=512)
def margin(n_past: int) -> float:
    """How many times further out than all earlier arrivals a figure must lie to cause an alarm.

    The largest of n exponential figures is passed m-fold with probability Γ(n + 1) Γ(m + 1) / Γ(n + m + 1). The margin
    is the m for which this is BEYOND: 2.4 after 20 arrivals, 1.6 after 60, and at least 1.

    Args:
        n_past: earlier arrivals.

    Returns:
        The factor.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaln

    def excess(m: float) -> float:
        return float(gammaln(n_past + 1) + gammaln(m + 1) - gammaln(n_past + m + 1)) - math.log(BEYOND)

    return 1.0 if excess(1.0) <= 0 else float(brentq(excess, 1.0, 100.0))


def between_variance(x: np.ndarray, variance: np.ndarray) -> float:
    """Variance between arrivals beyond what chance within them explains, by DerSimonian and Laird; at least 0.

    Args:
        x: a figure of each arrival.
        variance: by which chance moves it.

    Returns:
        The variance, in the figure's unit squared.
    """
    weights = 1 / variance
    mean = weights @ x / weights.sum()
    excess = weights @ (x - mean) ** 2 - (len(x) - 1)
    return max(0.0, float(excess / (weights.sum() - weights @ weights / weights.sum())))


def limits(found: Judgement, side: Side, level: float) -> tuple[float | None, float | None]:
    """Lower and upper limit of an ordinary figure; None: no limit on that side.

    Args:
        found: the judgement.
        side: of the signal.
        level: probability of an ordinary arrival beyond the limits.

    Returns:
        The lower and the upper limit.
    """
    below, above = _reaches(found, side, level)
    lower = found.expected - below * found.deviation if side != "upper" else None
    upper = found.expected + above * found.deviation if side != "lower" else None
    return lower, upper


def _reaches(found: Judgement, side: Side, level: float) -> tuple[float, float]:
    """How many deviations from the expected value the lower and the upper limit lie."""
    from scipy.stats import t

    by_chance = float(t.isf(level / (2 if side == "both" else 1), found.n_past - 1))
    factor = margin(found.n_past)
    return max(by_chance, factor * found.below), max(by_chance, factor * found.above)


def smallest(found: Judgement, side: Side, level: float) -> float:
    """The change from the expected value that would be noticed with probability POWER in an arrival like this one.

    Args:
        found: the judgement.
        side: of the signal; for both, the side that notices less.
        level: probability of an ordinary arrival beyond the limits.

    Returns:
        The change, in the figure's unit, by the normal approximation.
    """
    from scipy.stats import norm

    below, above = _reaches(found, side, level)
    reach = {"both": max(below, above), "upper": above, "lower": below}[side]
    return (reach + float(norm.ppf(POWER))) * found.deviation


def alarms(found: Mapping[str, Judgement], rate: float) -> tuple[str, ...]:
    """Signals of an arrival that cause an alarm. At most the share `rate` of ordinary arrivals have any.

    Args:
        found: judgements by signal.
        rate: the share.

    Returns:
        Names, the least probable first: those that Holm's procedure rejects and that are extreme.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    ordered = sorted(found, key=lambda name: (found[name].p, name))
    rejected: list[str] = []
    for place, name in enumerate(ordered):
        if found[name].p > rate / (len(ordered) - place):
            break
        rejected.append(name)
    return tuple(name for name in rejected if found[name].is_extreme)
