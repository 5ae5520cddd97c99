"""What Prometheus reads at /metrics. One registry per process; docs/serving.md says what each alert means."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from recsys.serving.service.following import Follower

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Counters of one process.

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
        self._ready = Gauge("firstlight_ready", "1 where a release answers.", registry=self._registry)
        self._sequence = Gauge("firstlight_release_sequence", "Of the release.", registry=self._registry)
        self._since = Gauge(
            "firstlight_release_since_seconds", "When it began to answer, Unix time.", registry=self._registry
        )
        self._items = Gauge("firstlight_release_items", "Live items.", registry=self._registry)
        self._swaps = Gauge("firstlight_release_swaps", "Releases loaded.", registry=self._registry)
        self._refused = Gauge(
            "firstlight_release_refusals", "Looks that found no readable release.", registry=self._registry
        )
        self._problem = Gauge(
            "firstlight_release_problem",
            "1 while the newest release does not serve.",
            registry=self._registry,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all figures."""
        found = [(one.name, one.type) for one in self._registry.collect()]
        return tuple(f"{name}_total" if kind == "counter" else name for name, kind in found)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        served = self._follower.served
        self._ready.set(served is not None)
        if served is not None:
            self._sequence.set(served.recommender.manifest.sequence)
            self._since.set(served.since.timestamp())
            self._items.set(len(served.recommender.profiles.latest.item_ids))
        self._swaps.set(self._follower.n_swaps)
        self._refused.set(self._follower.n_refused)
        self._problem.set(bool(self._follower.problem))
        return generate_latest(self._registry)
