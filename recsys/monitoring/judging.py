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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Side = Literal["both", "upper", "lower"]
"""The direction in which a figure must become unusual to cause an alarm."""
MARGIN = 1.5
"""To cause an alarm, a figure must lie this many times further out than that of any earlier arrival. Figures of
different suppliers have longer tails than Student's t. With an exponential tail, one in 350 ordinary arrivals passes
this after 60 others, with a normal one far fewer."""
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
    is_extreme: bool
    """Whether it lies MARGIN times further out than that of every earlier arrival. An ordinary arrival lies further out
    than all n earlier ones with probability 1 / (n + 1), whatever the distribution."""
    n_past: int
    furthest: float = 0.0
    """How many deviations from the expected value the furthest earlier arrival lies, in the signal's direction."""


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
    z = (now.value - expected) / deviation
    z_past = (x - expected) / np.sqrt(variance + between)
    if side == "both":
        z, z_past = abs(z), np.abs(z_past)
    elif side == "lower":
        z, z_past = -z, -z_past
    tail = float(t.sf(z, len(past) - 1)) * (2 if side == "both" else 1)
    furthest = max(0.0, float(z_past.max()))
    is_extreme = bool(z > MARGIN * furthest)
    return Judgement(now.value, expected, deviation, min(1.0, tail), is_extreme, len(past), furthest)


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
    reach = quantile(found, side, level) * found.deviation
    lower = found.expected - reach if side != "upper" else None
    upper = found.expected + reach if side != "lower" else None
    return lower, upper


def quantile(found: Judgement, side: Side, level: float) -> float:
    """How many deviations from the expected value the limit lies."""
    from scipy.stats import t

    by_chance = float(t.isf(level / (2 if side == "both" else 1), found.n_past - 1))
    return max(by_chance, MARGIN * found.furthest)


def smallest(found: Judgement, side: Side, level: float) -> float:
    """The change from the expected value that would be noticed with probability POWER in an arrival like this one.

    Args:
        found: the judgement.
        side: of the signal.
        level: probability of an ordinary arrival beyond the limits.

    Returns:
        The change, in the figure's unit, by the normal approximation.
    """
    from scipy.stats import norm

    return (quantile(found, side, level) + float(norm.ppf(POWER))) * found.deviation


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
