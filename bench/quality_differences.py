"""Differences between two methods of the quality benchmark, paired over users by the judge.

The judge needs the lists of both. Lists stay on the machine that made them, so a difference that cannot be computed
here is the published one, as long as the rows of both methods are the published ones.
"""

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.protocols import PROTOCOLS, judged
from bench.quality_rows import FIRST_LIGHT, METHODS, OURS, Key, Row, read_rows, runs_of, views_of
from recsys.ranking.intervals import Interval

WORDS = "tfidf_centroid"
"""The method of exact words alone, which first light must not lose to."""
JUDGES = {one.name: one.judge for one in PROTOCOLS}
Rows = Mapping[Key, Row]


class Pair(NamedTuple):
    """Which difference: `method` minus `other`."""

    protocol: str
    method: str
    other: str
    metric: str

    def __str__(self) -> str:
        return f"{self.protocol}_{self.method}_minus_{self.other}_{self.metric}"


@dataclass(frozen=True)
class Published:
    """What was published before."""

    rows: Rows
    figures: Mapping[str, float | int | str]

    @classmethod
    def load(cls, rows: Path, summary: Path) -> "Published":
        """Rows and figures beside the page; none where there are none."""
        found = json.loads(summary.read_text())["figures"] if summary.exists() else {}
        return cls(read_rows(rows), found)

    def difference(self, pair: Pair) -> Interval | None:
        """A published difference."""
        names = (str(pair), f"{pair}_low", f"{pair}_high")
        if any(name not in self.figures for name in names):
            return None
        mean, low, high = (float(self.figures[name]) for name in names)
        return Interval(mean=mean, low=low, high=high)


def best_other(rows: Rows, protocol: str, metric: str) -> str | None:
    """The best method that is not Firstlight's own, by its mean over seeds; None where none has run."""
    means = {
        method: statistics.mean(run.metrics[metric]["mean"] for run in runs)
        for method in METHODS
        if method not in (OURS, FIRST_LIGHT) and (runs := runs_of(rows, protocol, method))
    }
    return max(means, key=lambda method: means[method], default=None)


def wanted(rows: Rows) -> Iterator[Pair]:
    """Firstlight against the best other method, first light against exact words, and views against the text alone."""
    for protocol in PROTOCOLS:
        for metric in protocol.figures:
            if (best := best_other(rows, protocol.name, metric)) is not None:
                yield Pair(protocol.name, OURS, best, metric)
        headline = protocol.figures[0]
        yield Pair(protocol.name, FIRST_LIGHT, WORDS, headline)
        for viewed in views_of(protocol.name):
            yield Pair(protocol.name, viewed, OURS, headline)


def differences(rows: Rows, published: Published) -> dict[Pair, Interval]:
    """All that are wanted and known."""
    found = {pair: difference(rows, published, pair) for pair in wanted(rows)}
    return {pair: interval for pair, interval in found.items() if interval is not None}


def difference(rows: Rows, published: Published, pair: Pair) -> Interval | None:
    """The mean over the seeds of `method`, each against the same seed of `other`, or else its first."""
    ours, others = (runs_of(rows, pair.protocol, method) for method in (pair.method, pair.other))
    if not ours or not others:
        return None
    if any(not row.key.run.exists() for row in (*ours, *others)):
        unchanged = all(published.rows.get(row.key) == row for row in (*ours, *others))
        return published.difference(pair) if unchanged else None
    by_seed = {row.seed: row for row in others}
    scored = [
        _against(JUDGES[pair.protocol], row.key.run, by_seed.get(row.seed, others[0]).key.run)[pair.metric]
        for row in ours
    ]
    mean, low, high = (
        statistics.mean(one[name] for one in scored)
        for name in ("difference", "difference_low", "difference_high")
    )
    return Interval(mean=mean, low=low, high=high)


@cache
def _against(judge: str, ours: Path, other: Path) -> dict[str, dict[str, float]]:
    return judged(judge, ours, "--against", str(other))
