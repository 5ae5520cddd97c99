"""Starts the service: uvicorn, one process per worker.

Several workers are forked from a process that has opened the release: they share its memory, and it is opened once
(`leading.py`).
"""

import os
import signal
import socket
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.pseudonyms import VARIABLE as KEY_VARIABLE
from recsys.errors import ConfigError
from recsys.importing import without_pandas
from recsys.serving.params import ServeParams

if TYPE_CHECKING:
    import uvicorn

    from recsys.catalogue.pseudonyms import Pseudonyms
    from recsys.serving.recommender import Recommender
    from recsys.serving.service.accepting import Connections
    from recsys.serving.service.feedback import Feedback
    from recsys.serving.service.handover import Handover
    from recsys.serving.service.pulse import Pulse

METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Set by `run` for several workers: the folder of their figures. prometheus_client reads it when it is imported."""
ARENAS = 2
"""Arenas of the C library for all threads that answer. Each further one would keep memory that its threads freed."""


@dataclass(frozen=True)
class Config:
    """Where from, and how, the service answers."""

    store: str
    """A folder or s3://bucket/prefix."""
    cache: str
    """Folder for what is downloaded."""
    api_keys: str | None
    """File of API keys; None: only this machine may ask."""
    params: dict[str, Any]
    """Section `serve`."""
    rules: dict[str, Any]
    """Section `feedback`."""
    feedback: str | None
    """The feedback store's URL; None: no feedback is taken."""
    landing: str | None
    """The landing zone, which feedback is shipped to; None: it stays in the store."""

    @classmethod
    def of(
        cls,
        store: str,
        params: ServeParams,
        rules: FeedbackParams,
        api_keys: Path | None,
        feedback: str | None,
        landing: str | None,
    ) -> "Config":
        """Make the configuration from the arguments of the command.

        Args:
            store: where releases live.
            params: section `serve`.
            rules: section `feedback`.
            api_keys: file of API keys.
            feedback: URL of the feedback store.
            landing: the landing zone.

        Returns:
            The config; downloads go where `Release.open` puts them.
        """
        cache = Path(os.environ.get("RECSYS_CACHE") or "~/.cache/firstlight").expanduser() / "releases"
        return cls(
            store=store,
            cache=str(cache),
            api_keys=str(api_keys) if api_keys else None,
            params=params.model_dump(mode="json"),
            rules=rules.model_dump(mode="json"),
            feedback=feedback,
            landing=landing,
        )


def run(config: Config, host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it; requests under way are answered first.

    Args:
        config: where from, and how.
        host: address to listen at.
        port: to listen at.
        workers: processes; they share the memory of one release.

    Raises:
        ConfigError: others could ask without a key, the file of keys is damaged, or nothing can listen there.
    """
    import uvicorn

    from recsys.serving.service.access import VARIABLE, ApiKeys, is_loopback
    from recsys.serving.service.connection import bounded_connection
    from recsys.serving.service.workers import GRACE_S
    from recsys.storage.memory import limit_arenas

    if config.api_keys:
        ApiKeys.load(Path(config.api_keys))
    elif not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines, and there are no API keys",
            remedy=f"recsys api-key NAME --to keys.json, then {VARIABLE}=keys.json; or --host 127.0.0.1",
        )
    _require_free(host, port)
    # Of Arrow's allocators jemalloc keeps least once a release is open: 30 MB less per worker at a million items.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    limit_arenas(ARENAS)
    with without_pandas(), tempfile.TemporaryDirectory(prefix="firstlight-metrics-") as figures:
        if workers > 1:
            os.environ[METRICS_FOLDER] = figures
        server = uvicorn.Config(
            partial(create, config),
            factory=True,
            host=host,
            port=port,
            http=bounded_connection(config.params["wait_s"]),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        if workers > 1:
            from recsys.serving.service.leading import serve_by_workers

            serve_by_workers(config, server, workers, Path(figures))
        else:
            serve(server)


def _require_free(host: str, port: int) -> None:
    """Refuse an address at which nothing can listen before a release is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {host}, port {port}: {error.strerror or error}",
            remedy="end what listens there, or give another --host or --port",
        ) from error


def serve(
    config: "uvicorn.Config",
    listener: socket.socket | None = None,
    pulse: "Pulse | None" = None,
    connections: "Connections | None" = None,
) -> None:
    """Answer until a signal ends it.

    Args:
        config: what uvicorn needs to know.
        listener: a bound socket; None: one is bound here.
        pulse: beats while the event loop turns.
        connections: of this worker, beside others that accept from `listener` too.

    Raises:
        SystemExit: with STARTUP_FAILURE, where the application could not start.
    """
    from recsys.serving.service.server import HAND_OVER, Server
    from recsys.serving.service.workers import STARTUP_FAILURE

    server = Server(config)
    if connections is not None:
        server.share(connections)
    if pulse is not None:

        async def beat() -> None:
            pulse.beat()

        config.callback_notify, config.timeout_notify = beat, 0
        signal.signal(HAND_OVER, server.hand_over)
    try:
        server.run(None if listener is None else [listener])
    finally:
        if not server.started:
            raise SystemExit(STARTUP_FAILURE)


def create(
    config: Config, inherited: "Recommender | None" = None, handover: "Handover | None" = None
) -> object:
    """The application of one worker.

    Args:
        config: where from, and how, it answers.
        inherited: a release that is open already.
        handover: where another release is asked for; None: this process loads it itself.

    Returns:
        An ASGI application.
    """
    from recsys.catalogue.pseudonyms import Pseudonyms
    from recsys.publishing.store import ReleaseStore
    from recsys.serving.exploration import NO_POLICY, Explorer
    from recsys.serving.service.access import ApiKeys
    from recsys.serving.service.app import make_app
    from recsys.serving.service.following import Follower
    from recsys.serving.service.logs import log_to_stderr
    from recsys.serving.service.shared import Service
    from recsys.storage.opening import open_storage

    log_to_stderr()
    params = ServeParams.model_validate(config.params)
    pseudonym_key = os.environ.get(KEY_VARIABLE)
    pseudonyms = Pseudonyms(pseudonym_key) if pseudonym_key else None
    feedback = _feedback(config, params, pseudonyms)
    explorer = Explorer(params) if params.explore_policy != NO_POLICY else None
    follower = Follower(
        ReleaseStore(open_storage(config.store)),
        Path(config.cache),
        params.poll_s,
        feedback.held if feedback else lambda _: frozenset(),
        (params.share_release, params.share) if params.share_release and params.share else None,
        explores=explorer is not None,
        opened=inherited,
        handover=handover,
    )
    keys = ApiKeys.load(Path(config.api_keys)) if config.api_keys else None
    return make_app(Service(follower, params, keys, pseudonyms, feedback, explorer))


def _feedback(config: Config, params: ServeParams, pseudonyms: "Pseudonyms | None") -> "Feedback | None":
    if config.feedback is None:
        return None
    from recsys.serving.feedback import FeedbackStore
    from recsys.serving.service.feedback import Feedback
    from recsys.storage.opening import open_storage

    store = FeedbackStore.open(config.feedback)
    if pseudonyms:
        store.require_key(pseudonyms)
    landing = open_storage(config.landing) if config.landing else None
    return Feedback(store, FeedbackParams.model_validate(config.rules), params, landing, pseudonyms)
