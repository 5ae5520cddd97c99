"""SeaweedFS, MLflow and the service, for demo, tests and `make up`: real servers, on loopback only."""

import json
import secrets
import sys
import urllib.request
from pathlib import Path

from localplatform.processes import Server, StartFailed, answers_at, free_ports, start, which

ATTEMPTS = 3
REGION = "us-east-1"
# A bucket takes one volume, not seven, and a volume takes no disk until something is stored in it: with limits that
# follow the free disk, SeaweedFS refused new buckets while there was room for all that the tests store.
VOLUMES = 100_000
ONE_VOLUME_PER_BUCKET = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
MIN_FREE = "200MiB"  # of disk; below it SeaweedFS takes no more data


def start_seaweed(folder: Path, *, port: int | None = None, detached: bool = False) -> Server:
    """Start SeaweedFS as an S3 server that keeps its data and its keys in `folder`.

    Args:
        folder: for data, `identity.json` (keys that are made once) and `seaweed.log`.
        port: preferred port of S3.
        detached: keep it running when this process ends.

    Returns:
        The server, answering.

    Raises:
        StartFailed: it did not start; shows its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, secret = _s3_keys(folder / "identity.json")
    (folder / "data").mkdir(exist_ok=True)
    for attempt in range(ATTEMPTS):
        try:
            s3, *inner = free_ports(8, (port,) if port and attempt == 0 else ())
            return _seaweed(folder, s3, inner, key, secret, detached=detached)
        except StartFailed:  # most likely another process took one of the ports in between
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _seaweed(folder: Path, s3: int, inner: list[int], key: str, secret: str, *, detached: bool) -> Server:
    master, volume, filer, s3_grpc, master_grpc, volume_grpc, filer_grpc = inner
    log = folder / "seaweed.log"
    command = [
        which("weed"),
        "-logtostderr=true",
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={master}",
        f"-master.port.grpc={master_grpc}",
        "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_grpc}",
        f"-volume.max={VOLUMES}",
        f"-volume.minFreeSpace={MIN_FREE}",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_grpc}",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.port.grpc={s3_grpc}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 'identity.json'}",
    ]
    # Killed at once: it lingers after SIGTERM.
    process = start("SeaweedFS", command, log, ONE_VOLUME_PER_BUCKET, detached=detached)
    url = f"http://127.0.0.1:{s3}"
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": REGION,
    }
    grpc = {"master": master_grpc, "volume": volume_grpc, "filer": filer_grpc, "s3": s3_grpc}
    sockets = [f"{role}-grpc-{port}" for role, port in grpc.items()] + [f"filer-{filer}", f"s3-{s3}"]
    leftovers = tuple(Path(f"/tmp/seaweedfs-{name}.sock") for name in sockets)
    server = Server("SeaweedFS", url, environment, log, [process], leftovers=leftovers)
    status = f"http://127.0.0.1:{master}/dir/status"
    server.answers = lambda: answers_at(f"{url}/healthz") and _has_volume_server(status)
    return server.wait(quiet_s=60)


def _has_volume_server(url: str) -> bool:
    """Whether the master knows a volume server. Before that, S3 answers, but stored objects cannot be read."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(json.load(reply)["Topology"].get("DataCenters"))
    except (OSError, ValueError):
        return False


def _s3_keys(path: Path) -> tuple[str, str]:
    """Access key and secret from the identity file, which is created if it does not exist."""
    if not path.exists():
        credentials = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_hex(20)}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "firstlight", "credentials": [credentials], "actions": actions}
        path.touch(mode=0o600)
        path.write_text(json.dumps({"identities": [identity]}, indent=2), encoding="utf-8")
    identity, *_ = json.loads(path.read_text(encoding="utf-8"))["identities"]
    (credentials,) = identity["credentials"]
    return credentials["accessKey"], credentials["secretKey"]


def start_mlflow(
    folder: Path,
    *,
    artifacts_url: str | None = None,
    environment: dict[str, str] | None = None,
    port: int | None = None,
    detached: bool = False,
    wait: bool = True,
) -> Server:
    """Start an MLflow server with a sqlite database in `folder`.

    Args:
        folder: for the database, the log and, by default, the artifacts.
        artifacts_url: where it stores artifacts (a folder or s3://bucket/prefix); clients use the server as a proxy.
        environment: variables for access to `artifacts_url`.
        port: preferred port.
        detached: keep it running when this process ends.
        wait: True: return when it answers. False: return at once; the caller calls `Server.wait`.

    Returns:
        The server.

    Raises:
        StartFailed: it did not start; shows its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (chosen,) = free_ports(1, (port,) if port else ())
    log = folder / "mlflow.log"
    command = [which("mlflow"), "server", "--host=127.0.0.1", f"--port={chosen}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}"]
    command += [f"--artifacts-destination={artifacts_url or folder / 'artifacts'}"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | (environment or {})
    process = start("MLflow", command, log, settings, folder=folder, grace_s=2, detached=detached)
    url = f"http://127.0.0.1:{chosen}"
    server = Server("MLflow", url, {"MLFLOW_TRACKING_URI": url}, log, [process])
    server.answers = lambda: answers_at(f"{url}/health")
    return server.wait(quiet_s=120) if wait else server


def start_service(
    folder: Path, environment: dict[str, str], *, port: int | None = None, detached: bool = False
) -> Server:
    """Start `recsys serve`: it answers from whatever the store's CURRENT names, once something is published.

    Args:
        folder: for the feedback store and the log.
        environment: RECSYS_* and AWS_*, as every command of the workspace has them.
        port: where it should answer if that port is free.
        detached: keep it running when this process ends.

    Returns:
        The server; it is alive, and ready as soon as there is a release.

    Raises:
        StartFailed: it did not start; shows its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (chosen,) = free_ports(1, (port,) if port else ())
    log = folder / "service.log"
    command = [sys.executable, "-m", "recsys", "serve", f"--port={chosen}"]
    command += [f"--feedback=sqlite:///{folder / 'feedback.sqlite'}"]
    process = start("Service", command, log, environment, folder=folder, grace_s=5, detached=detached)
    url = f"http://127.0.0.1:{chosen}"
    server = Server("Service", url, {}, log, [process])
    server.answers = lambda: answers_at(f"{url}/healthz")
    return server.wait(quiet_s=120)
