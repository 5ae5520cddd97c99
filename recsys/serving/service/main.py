"""Starts the service: uvicorn, one process per worker. What a worker needs to know reaches it by one variable."""

import ipaddress
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from recsys.catalogue.pseudonyms import VARIABLE as KEY_VARIABLE
from recsys.errors import ConfigError
from recsys.serving.params import ServeParams

WORKER = "RECSYS_SERVE_WORKER"
"""Set by `run` for its workers: the `Config` as JSON."""
GRACE_S = 20
"""Seconds that requests under way get at the end."""


@dataclass(frozen=True)
class Config:
    """Where from, and how, the service answers."""

    store: str
    """A folder or s3://bucket/prefix."""
    cache: str
    """Folder for what is downloaded."""
    api_keys: str | None
    """File of API keys; None: only this machine may ask."""
    params: dict[str, float]
    """Section `serve`."""

    @classmethod
    def of(cls, store: str, params: ServeParams, api_keys: Path | None) -> "Config":
        """From what a command knows.

        Args:
            store: where releases live.
            params: section `serve`.
            api_keys: file of API keys.

        Returns:
            The config; downloads go where `Release.open` puts them.
        """
        cache = Path(os.environ.get("RECSYS_CACHE") or "~/.cache/firstlight").expanduser() / "releases"
        return cls(store, str(cache), str(api_keys) if api_keys else None, params.model_dump())


def run(config: Config, host: str, port: int, workers: int) -> None:
    """Serve until a signal ends it; requests under way are answered first.

    Args:
        config: where from, and how.
        host: address to listen at.
        port: to listen at.
        workers: processes; they share the memory of one release.

    Raises:
        ConfigError: others could ask without a key, or the file of keys is damaged.
    """
    import uvicorn

    from recsys.serving.service.access import VARIABLE, ApiKeys

    if config.api_keys:
        ApiKeys.load(Path(config.api_keys))
    elif not _is_loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines, and there are no API keys",
            remedy=f"recsys api-key NAME --to keys.json, then {VARIABLE}=keys.json; or --host 127.0.0.1",
        )
    os.environ[WORKER] = json.dumps(asdict(config))
    uvicorn.run(
        "recsys.serving.service.main:create",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


def create() -> object:
    """The application of one worker."""
    from recsys.catalogue.pseudonyms import Pseudonyms
    from recsys.publishing.store import ReleaseStore
    from recsys.serving.service.access import ApiKeys
    from recsys.serving.service.app import Service, make_app
    from recsys.serving.service.following import Follower
    from recsys.serving.service.logs import log_to_stderr
    from recsys.storage.opening import open_storage

    log_to_stderr()
    config = Config(**json.loads(os.environ[WORKER]))
    params = ServeParams.model_validate(config.params)
    follower = Follower(
        ReleaseStore(open_storage(config.store)), Path(config.cache), params.poll_s, params.text_weight
    )
    keys = ApiKeys.load(Path(config.api_keys)) if config.api_keys else None
    pseudonym_key = os.environ.get(KEY_VARIABLE)
    return make_app(Service(follower, params, keys, Pseudonyms(pseudonym_key) if pseudonym_key else None))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
