"""The whole platform of the demo: SeaweedFS, MLflow and Airflow around one workspace."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from localplatform.airflow_server import start_airflow
from localplatform.calls import call
from localplatform.processes import Server
from localplatform.servers import start_mlflow, start_seaweed
from localplatform.workspace import set_remote

BUCKETS = ("landing", "releases", "dvc", "mlflow")
# MLflow's webhook goes to Airflow on this machine.
WEBHOOKS = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
# Preferred ports, so that bookmarks keep working; another free port is used where one of them is taken.
SEAWEED_PORT, MLFLOW_PORT, AIRFLOW_PORT = 8333, 5000, 8080


@dataclass(frozen=True)
class Platform:
    """Running servers, and the environment for commands of the workspace."""

    workspace: Path
    seaweed: Server
    mlflow: Server
    airflow: Server
    environment: dict[str, str]

    @property
    def servers(self) -> tuple[Server, ...]:
        """In order of their start."""
        return self.seaweed, self.mlflow, self.airflow

    def stop(self) -> None:
        """Stop everything. Safe to repeat."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.callback(server.stop)

    def __enter__(self) -> "Platform":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_platform(
    workspace: Path, folder: Path, report: Callable[[str], None], *, detached: bool = False
) -> Platform:
    """Start the three servers, create the buckets, and wait until all servers answer.

    Args:
        workspace: made by `make_workspace`.
        folder: for the servers' data, keys and logs; kept between runs.
        report: called with a line whenever a server is ready.
        detached: keep them running when this process ends.

    Returns:
        The platform. If one server fails to start, the others are stopped.
    """
    since = time.monotonic()

    def shown(server: Server) -> Server:
        report(f"{server.name} at {server.url} ({time.monotonic() - since:.0f} s)")
        return server

    with ExitStack() as failed:
        seaweed = start_seaweed(folder / "seaweed", port=SEAWEED_PORT, detached=detached)
        failed.callback(seaweed.stop)
        shown(seaweed)
        _make_buckets(seaweed.environment)
        set_remote(workspace, "s3://dvc/cache")
        webhook = _webhook(folder / "webhook.json")
        mlflow = start_mlflow(
            folder / "mlflow",
            artifacts_url="s3://mlflow/artifacts",
            environment=seaweed.environment
            | WEBHOOKS
            | {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": webhook["key"]},
            port=MLFLOW_PORT,
            detached=detached,
            wait=False,  # it starts in parallel with Airflow, which only needs its address
        )
        failed.callback(mlflow.stop)
        environment = seaweed.environment | mlflow.environment | _recsys(workspace, folder)
        environment |= {"RECSYS_WEBHOOK_SECRET": webhook["secret"]}
        airflow = start_airflow(
            workspace, folder / "airflow", environment, port=AIRFLOW_PORT, detached=detached, wait=False
        )
        failed.callback(airflow.stop)
        shown(mlflow.wait(quiet_s=120))
        shown(airflow.wait(quiet_s=240))
        _subscribe(environment, f"{airflow.url}/recsys/champion", workspace)
        failed.pop_all()
    return Platform(workspace, seaweed, mlflow, airflow, environment)


def _recsys(workspace: Path, folder: Path) -> dict[str, str]:
    """RECSYS_* variables of the workspace. The key for pseudonyms is made once and kept."""
    key = folder / "pseudonym.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_text(secrets.token_hex(32), encoding="utf-8")
    return {
        "RECSYS_WORKSPACE": str(workspace),
        "RECSYS_LANDING": "s3://landing",
        "RECSYS_STORE": "s3://releases",
        "RECSYS_PSEUDONYM_KEY": key.read_text(encoding="utf-8"),
    }


def _webhook(path: Path) -> dict[str, str]:
    """MLflow's secret for signing deliveries, and the key that encrypts it; made once and kept."""
    if not path.exists():
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        path.touch(mode=0o600)
        path.write_text(json.dumps({"secret": secrets.token_hex(32), "key": key}), encoding="utf-8")
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _subscribe(environment: dict[str, str], address: str, workspace: Path) -> None:
    """Have MLflow notify Airflow of moved aliases. Repeated at every start, since the address may change."""
    call("recsys", "webhook", address, workspace=workspace, environment=environment)


def _make_buckets(environment: dict[str, str]) -> None:
    import boto3

    client = boto3.session.Session().client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )
    there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in there:
            client.create_bucket(Bucket=name)
