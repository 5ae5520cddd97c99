"""Several workers: one process binds the port, and one for each release opens it and forks workers that share it."""

import logging
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from prometheus_client import CollectorRegistry

from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.store import ReleaseStore
from recsys.serving.params import ServeParams
from recsys.serving.recommender import Recommender
from recsys.serving.service import (
    app,  # noqa: F401  workers share what it imports
    metrics,
)
from recsys.serving.service.accepting import Connections, Shares
from recsys.serving.service.generations import Generations
from recsys.serving.service.handover import Handover
from recsys.serving.service.loading import opened, problem_of
from recsys.serving.service.logs import log_to_stderr
from recsys.serving.service.main import Config, create, serve
from recsys.serving.service.pulse import Pulse
from recsys.serving.service.workers import STARTUP_FAILURE, run_workers
from recsys.storage.opening import open_storage

log = logging.getLogger(__name__)


def serve_by_workers(config: Config, server: uvicorn.Config, n: int, folder: Path) -> None:
    """Serve until a signal ends it.

    Args:
        config: where from, and how.
        server: what uvicorn needs to know.
        n: workers of a generation.
        folder: of this run; holds figures.

    Raises:
        SystemExit: with STARTUP_FAILURE, where workers cannot start.
    """
    # The first process of a container gets no signal without a handler.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log_to_stderr()
    params = ServeParams.model_validate(config.params)
    leader = _Leader(config, params, server, server.bind_socket(), Handover(folder), folder, n)
    metrics.use_place("first")
    replaced = metrics.count_replaced(CollectorRegistry())
    generations = Generations(
        leader.lead,
        leader.handover,
        params.poll_s,
        params.silent_s,
        leader.leave,
        lambda why: replaced.labels(why).inc(n),
    )
    if not generations.run():
        raise SystemExit(STARTUP_FAILURE)


@dataclass(frozen=True)
class _Leader:
    """What the process of a generation knows: it opens the release that CURRENT names, and forks workers."""

    config: Config
    params: ServeParams
    server: uvicorn.Config
    listener: socket.socket
    handover: Handover
    folder: Path
    n: int

    def lead(self, number: int, pulse: Pulse, is_first: bool) -> None:
        """Open a release, and watch the workers that answer from it until a signal ends them."""
        inherited = self._opened(is_first)
        release = inherited.release if inherited else None
        places = self._places(number)
        metrics.use_place(f"leader{places.start}")
        replaced = metrics.count_replaced(CollectorRegistry())
        shares = Shares(self.n)

        def work(listener: socket.socket, pulse: Pulse, place: int) -> None:
            metrics.use_place(str(place))
            self.handover.must_serve = not is_first
            self.server.app = partial(create, self.config, inherited, self.handover)
            serve(self.server, listener, pulse, Connections(shares, place - places.start))

        def lost(place: int, why: str) -> None:
            metrics.leave_place(str(place), self.folder)
            replaced.labels(why).inc()

        done = run_workers(
            places,
            self.listener,
            work,
            self.params.silent_s,
            ready=lambda: self.handover.tell(ready=release),
            beat=pulse.beat,
            replaced=lost,
        )
        if not done:
            raise SystemExit(STARTUP_FAILURE)

    def leave(self, number: int) -> None:
        """Drop the figures that describe workers of a generation that has ended."""
        for place in self._places(number):
            metrics.leave_place(str(place), self.folder)

    def _places(self, number: int) -> range:
        return range(number * self.n, (number + 1) * self.n)

    def _opened(self, is_first: bool) -> Recommender | None:
        store = ReleaseStore(open_storage(self.config.store))
        files = ObjectFiles(store.storage, Path(self.config.cache))
        before = self.handover.outcome.release if is_first else None
        for release in dict.fromkeys((None, before)):  # after a loss it may go back to what was served
            try:
                return opened(store, files, release)
            except Exception as error:  # workers of the first generation then say why none answers
                problem = problem_of(error)
                self.handover.tell(problem=problem)
                if not is_first:
                    raise SystemExit(STARTUP_FAILURE) from error
                log.warning("no release before workers start", extra={"fields": {"problem": problem}})
        return None
