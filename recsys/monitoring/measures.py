"""Measures that compare an arrival with others: means of rows or of clusters of rows, and levels.

A measure is prepared once for all arrivals, and then compares one arrival with some others. Earlier arrivals are
compared with each other in the same way, which shows what is ordinary without any assumption.

`recsys/monitoring/distributions.py` has those of distributions. Shape suffixes: R rows of a sample, A arrivals.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recsys.monitoring.judging import Measured

Rows = NDArray[np.float64]


Compared = tuple[Measured | None, list[Measured]]
"""The figure of an arrival, and those of the others, each against the rest of them. None, or left out, where there is
nothing to measure."""


class Measure(Protocol):
    """A figure of each arrival, relative to others."""

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """Measure an arrival against others, and each of the others against the rest.

        Args:
            one: place of the arrival.
            others: places of at least two earlier arrivals.

        Returns:
            The figures.
        """
        ...

    def unlike(self, one: int, others: Sequence[int]) -> NDArray[np.float64] | None:
        """How different each row of the arrival is from the others, [R]; None if single rows cannot tell."""
        ...


@dataclass(frozen=True)
class Means:
    """Mean of a number of each row."""

    values: Sequence[Rows]
    """[R] for each arrival; NaN where a row has none."""
    floor: float
    """Smallest standard deviation of rows that is assumed: finer differences are not worth an alarm."""

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """Means, with the error that the rows' spread within arrivals gives."""
        freedom = sum(max(0, len(self._known[other]) - 1) for other in others)
        within = max(self.floor**2, sum(self._squares[other] for other in others) / max(1, freedom))
        return each_against_rest(one, others, lambda place, _: self._mean(place, within))

    def _mean(self, place: int, within: float) -> Measured | None:
        known = self._known[place]
        return Measured(float(known.mean()), float(np.sqrt(within / len(known)))) if len(known) else None

    def unlike(self, one: int, others: Sequence[int]) -> NDArray[np.float64]:
        """Distance of each row from the mean of the others."""
        theirs = np.concatenate([self._known[other] for other in others])
        centre = theirs.mean() if len(theirs) else 0.0
        return np.nan_to_num(np.abs(self.values[one] - centre))

    @cached_property
    def _known(self) -> list[Rows]:
        return [some[np.isfinite(some)] for some in self.values]

    @cached_property
    def _squares(self) -> list[float]:
        """Sum of squared distances from the arrival's own mean."""
        return [float(((some - some.mean()) ** 2).sum()) if len(some) else 0.0 for some in self._known]


@dataclass(frozen=True)
class ClusterMeans:
    """Mean of numbers that come in clusters, such as those of one user, which are more alike than those of others.

    A random-effects model: variance between clusters, plus variance within them by the size of each. So one user with
    three quarters of an arrival's rows counts as one user who differs from others, not as hundreds of rows. Where
    users are alike, each row counts the same.

    Source: DerSimonian & Laird 1986, Meta-analysis in Clinical Trials; the moments are those of unequal clusters
    (Searle, Casella & McCulloch 1992, Variance Components, chapter 3.6).
    """

    values: Sequence[Sequence[Rows]]
    """For each arrival, the numbers of each cluster, at least one; NaN where one is missing."""
    floor: float
    """Smallest standard deviation within clusters that is assumed: finer differences are not worth an alarm."""

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """Weighted means of the clusters' means, with the error that both variances give."""
        sums = self._sums[list(others)].sum(0)
        within = max(self.floor**2, sums[0] / max(1.0, sums[1]))
        between = max(0.0, (sums[2] - sums[3] * within) / sums[4]) if sums[4] > 0 else 0.0
        return each_against_rest(one, others, lambda place, _: self._mean(place, within, between))

    def _mean(self, place: int, within: float, between: float) -> Measured | None:
        counts, means, _ = self._clusters[place]
        if not len(counts):
            return None
        weights = 1 / (between + within / counts)
        return Measured(float(weights @ means / weights.sum()), float(1 / np.sqrt(weights.sum())))

    def unlike(self, one: int, others: Sequence[int]) -> None:
        """Clusters are not shown."""

    @cached_property
    def _clusters(self) -> list[tuple[Rows, Rows, Rows]]:
        """For each arrival: size, mean, and sum of squared distances from the mean, of each cluster with numbers."""
        found = []
        for some in self.values:
            known = [row[np.isfinite(row)] for row in some]
            known = [row for row in known if len(row)]
            means = np.array([row.mean() for row in known])
            squares = np.array([((row - mean) ** 2).sum() for row, mean in zip(known, means, strict=True)])
            found.append((np.array([len(row) for row in known], np.float64), means, squares))
        return found

    @cached_property
    def _sums(self) -> Rows:
        """[A, 5], sums from which both variances are estimated.

        Squares within clusters and their degrees of freedom; squares between clusters of one arrival, their degrees of
        freedom, and how often the variance between clusters is in them.
        """
        found = np.zeros((len(self.values), 5))
        for place, (counts, means, squares) in enumerate(self._clusters):
            if len(counts):
                n = counts.sum()
                spread = counts @ (means - counts @ means / n) ** 2
                found[place] = (
                    squares.sum(),
                    n - len(counts),
                    spread,
                    len(counts) - 1,
                    n - counts @ counts / n,
                )
        return found


@dataclass(frozen=True)
class Levels:
    """A number of each arrival as a whole."""

    values: Sequence[float]
    """NaN where an arrival has none."""
    floor: float
    """Finer differences are not worth an alarm."""

    def compare(self, one: int, others: Sequence[int]) -> Compared:
        """The numbers themselves. Their variance between arrivals is the only estimate of chance."""
        return each_against_rest(one, others, lambda place, _: self._level(place))

    def _level(self, place: int) -> Measured | None:
        value = self.values[place]
        return Measured(value, self.floor) if np.isfinite(value) else None

    def unlike(self, one: int, others: Sequence[int]) -> None:
        """Rows do not tell."""


def each_against_rest(
    one: int, others: Sequence[int], measure: Callable[[int, list[int]], Measured | None]
) -> Compared:
    """Measure `one` against all others, and each other one against the rest.

    Args:
        one: place of the arrival that is judged.
        others: places of those before it.
        measure: place, and those it is compared with -> the measure; None where it cannot be computed.

    Returns:
        The measure of `one`, and those of the others that have one: how much the measure varies by chance.
    """
    known = list(others)
    past = [measure(other, known[:place] + known[place + 1 :]) for place, other in enumerate(known)]
    return measure(one, known), [found for found in past if found is not None]
