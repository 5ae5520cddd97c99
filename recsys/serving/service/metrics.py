"""What Prometheus reads at /metrics; docs/serving.md says what each alert means.

One page tells of all workers. Each worker writes its figures into files of a folder that `recsys serve --workers N`
makes, and whichever worker is asked adds them up (prometheus_client's multiprocess mode). The files are named after the
worker's place, not its process: who takes a place counts on from there, so that sums never fall and files stay few.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from recsys.serving.service.following import Follower
from recsys.serving.service.main import METRICS_FOLDER

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
GAUGES = {
    "ready": ("firstlight_ready", "1 where every worker has a release.", "livemin"),
    "sequence": ("firstlight_release_sequence", "Of the release, by worker.", "liveall"),
    "since": ("firstlight_release_since_seconds", "When it began to answer, Unix time.", "livemax"),
    "items": ("firstlight_release_items", "Live items.", "livemin"),
    "swaps": ("firstlight_release_swaps", "Releases that have answered.", "livemax"),
    "refused": ("firstlight_release_refusals", "Looks that found no readable release.", "livemax"),
    "problem": ("firstlight_release_problem", "1 while the newest release does not serve.", "livemax"),
    "trial_share": (
        "firstlight_trial_share",
        "Of users, who get the trial's release; 0: no trial.",
        "livemin",
    ),
    "trial_problem": ("firstlight_trial_problem", "1 while the trial's release cannot be read.", "livemax"),
}
"""Name here -> name, meaning, and how one figure is made of those of all live workers."""


LOST = ("ended", "silent")
"""Why a worker was replaced."""


def use_place(place: str) -> None:
    """Let this process write its figures under a name that no other living process has; before any is made.

    Args:
        place: the name, without underscores.
    """
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def leave_place(place: str, folder: Path) -> None:
    """Drop what describes a process that has ended. Its counters stay.

    Args:
        place: its name.
        folder: of all figures.
    """
    mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]


def count_replaced(registry: CollectorRegistry) -> Counter:
    """Workers that were replaced.

    Args:
        registry: which the counter joins.

    Returns:
        The counter, by reason.
    """
    counter = Counter(
        "firstlight_workers_replaced_total",
        "Workers that ended or hung, or whose leader did.",
        ["why"],
        registry=registry,
    )
    for why in LOST:  # a rate is of counters that are there before they rise
        counter.labels(why)
    return counter


class Metrics:
    """Figures of this process, and the page of all.

    Args:
        follower: tells which release answers.
    """

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._registry = CollectorRegistry()
        labels = ["route", "status"]
        self.seconds = Histogram(
            "firstlight_request_seconds", "Of answers.", labels, registry=self._registry, buckets=SECONDS
        )
        self.turned_away = Counter(
            "firstlight_turned_away_total",
            "Requests that were not computed.",
            ["status"],
            registry=self._registry,
        )
        self.lists = Counter(
            "firstlight_trial_lists_total",
            "Lists of named users during a trial.",
            ["group"],
            registry=self._registry,
        )
        count_replaced(self._registry)

    @cached_property
    def _gauges(self) -> dict[str, Gauge]:
        """Made at the first look: a worker that starts up beside others does not count as one without a release."""
        return {
            name: Gauge(title, meaning, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]
            for name, (title, meaning, mode) in GAUGES.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all figures."""
        _ = self._gauges
        found = [(one.name, one.type) for one in self._registry.collect()]
        return tuple(f"{name}_total" if kind == "counter" else name for name, kind in found)

    def note(self) -> None:
        """Take over what the follower knows; called after each of its looks, so that the other workers see it."""
        served, trial = self._follower.served, self._follower.trial
        known: dict[str, float] = {
            "ready": served is not None,
            "swaps": self._follower.n_swaps,
            "refused": self._follower.n_refused,
            "problem": bool(self._follower.problem),
            "trial_share": trial.share if trial and trial.state.serves else 0,
            "trial_problem": bool(trial and trial.problem),
        }
        if served is not None:
            known["sequence"] = served.recommender.manifest.sequence
            known["since"] = served.since.timestamp()
            known["items"] = len(served.recommender.profiles.latest.item_ids)
        for name, value in known.items():
            self._gauges[name].set(value)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        self.note()
        folder = os.environ.get(METRICS_FOLDER)
        if not folder:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        registry.register(_BegunFiles(Path(folder)))
        return generate_latest(registry)


@dataclass(frozen=True)
class _BegunFiles(Collector):
    """Adds up all files but those that a worker has made and not yet begun to write: reading one is an error."""

    folder: Path

    def collect(self) -> Iterable[Metric]:
        """Figures of all workers."""
        files = [file for file in map(str, self.folder.glob("*.db")) if _has_begun(file)]
        return MultiProcessCollector.merge(files)  # type: ignore[no-any-return, no-untyped-call]


def _has_begun(file: str) -> bool:
    try:
        return os.path.getsize(file) > 0
    except FileNotFoundError:  # of a worker that has ended
        return False
