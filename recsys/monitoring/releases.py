"""Monitoring of releases: how old arrivals were when they were published, and the recall of indexes."""

import math
from collections.abc import Sequence
from datetime import datetime
from statistics import median

import pyarrow as pa

from recsys.monitoring.arrivals import Arrival
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.report import Frozen, Watched
from recsys.monitoring.review import review
from recsys.monitoring.signals import RELEASES, SIGNALS


class ReleaseFacts(Frozen):
    """Facts about one release that monitoring needs. They never change."""

    release: str
    parent: str | None
    written_at: datetime
    index_recall: float
    ages_s: tuple[float, ...] = ()
    """Seconds from landing to publishing, of each landed file that is new in it."""
    n_early: int = 0
    """Files that landed later than the release was written, so a clock must be wrong."""


def watch_releases(facts: Sequence[ReleaseFacts], params: MonitorParams) -> Watched:
    """Judge the newest releases.

    Args:
        facts: releases in order, each the parent of the next.
        params: section `monitor`.

    Returns:
        The table `releases`.
    """
    arrivals = [_arrival(one) for one in facts]
    signals = SIGNALS[RELEASES]
    early = sum(one.n_early for one in facts)
    notes = (
        (f"{early} landed files are younger than the release that holds them: check the clocks",)
        if early
        else ()
    )
    return Watched(
        table=RELEASES,
        titles={name: signal.title for name, signal in signals.items()},
        n_arrivals=len(facts),
        needed=params.learn_arrivals,
        n_waiting=0,
        judged=review(arrivals, signals, params),
        notes=notes,
    )


def _arrival(facts: ReleaseFacts) -> Arrival:
    counts = {"recall": facts.index_recall}
    if facts.ages_s:
        counts["age"] = math.log2(1 + median(facts.ages_s))
    return Arrival(
        name=facts.release,
        parts=(),
        at=facts.written_at,
        n_rows=len(facts.ages_s),
        rows=pa.table({}),
        counts=counts,
    )
