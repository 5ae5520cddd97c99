"""What Prometheus reads at /metrics; docs/serving.md says what each alert means.

One page tells of all workers. Each worker writes its figures into files of a folder that `recsys serve --workers N`
makes, and whichever worker is asked adds them up (prometheus_client's multiprocess mode).
"""

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from recsys.serving.service.following import Follower
from recsys.serving.service.main import METRICS_FOLDER

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
GAUGES = {
    "ready": ("firstlight_ready", "1 where every worker has a release.", "livemin"),
    "sequence": ("firstlight_release_sequence", "Of the release, by worker.", "liveall"),
    "since": ("firstlight_release_since_seconds", "When it began to answer, Unix time.", "livemax"),
    "items": ("firstlight_release_items", "Live items.", "livemin"),
    "swaps": ("firstlight_release_swaps", "Releases loaded.", "livemax"),
    "refused": ("firstlight_release_refusals", "Looks that found no readable release.", "livesum"),
    "problem": ("firstlight_release_problem", "1 while the newest release does not serve.", "livemax"),
    "trial_share": (
        "firstlight_trial_share",
        "Of users, who get the trial's release; 0: no trial.",
        "livemin",
    ),
    "trial_problem": ("firstlight_trial_problem", "1 while the trial's release cannot be read.", "livemax"),
}
"""Name here -> name, meaning, and how one figure is made of those of all live workers."""


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
        self._gauges = {
            name: Gauge(title, meaning, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]
            for name, (title, meaning, mode) in GAUGES.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all figures."""
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
        _drop_dead(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _drop_dead(folder: Path) -> None:
    """Delete the gauges of workers that ended: they describe nothing. Their counters stay, so that sums never fall."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*.db")}:
        if not Path(f"/proc/{pid}").exists():
            with suppress(FileNotFoundError):  # another worker answers a scrape at the same time
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
