"""docker/make_secrets.py, and what its values mean to the real SeaweedFS and the real MLflow."""

import os
import re
import runpy
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from cryptography.fernet import Fernet

from localplatform.processes import Server, answers_at, free_ports, start, which
from localplatform.servers import start_seaweed
from recsys.errors import RegistryUnreachable
from recsys.registry.http import version_at
from recsys.storage.opening import open_storage

DOCKER = Path(__file__).resolve().parents[2] / "docker"
SCRIPT = runpy.run_path(str(DOCKER / "make_secrets.py"), run_name="make_secrets")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docker")
    SCRIPT["main"](folder)
    return folder


@pytest.fixture(scope="module")
def values(made):
    return SCRIPT["read"](made / ".env")


def test_every_value_that_compose_needs_is_made_and_kept(made, values):
    needed = set(re.findall(r"\$\{(\w+):\?", (DOCKER / "compose.yaml").read_text("utf-8")))
    assert needed <= set(values)
    assert len(set(values.values())) == len(values) and all(len(value) >= 16 for value in values.values())
    assert len(values["AIRFLOW_JWT_SECRET"]) >= 64
    for name in ("AIRFLOW_FERNET_KEY", "MLFLOW_WEBHOOK_KEY"):
        Fernet(values[name])
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    SCRIPT["main"](made)
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before
    assert (made / ".env").stat().st_mode & 0o077 == 0
    assert (made / "secrets").stat().st_mode & 0o077 == 0


def test_containers_can_read_their_files_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        SCRIPT["main"](tmp_path)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert modes == {".env": 0o600, "s3_identities.json": 0o644, "airflow_passwords.json": 0o644}


def test_nobody_signs_with_a_key_that_was_made_up_and_one_that_is_set_stays(tmp_path):
    SCRIPT["main"](tmp_path)
    assert not {"RECSYS_SIGNING_KEY", "RECSYS_VERIFY_KEY"} & set(SCRIPT["read"](tmp_path / ".env"))
    path = tmp_path / ".env"
    path.write_text(path.read_text().replace("RECSYS_VERIFY_KEY=\n", "RECSYS_VERIFY_KEY=Qi4b=\n"))
    SCRIPT["main"](tmp_path)
    assert SCRIPT["read"](path)["RECSYS_VERIFY_KEY"] == "Qi4b="


def test_values_of_an_earlier_version_stay_and_new_ones_join_them(tmp_path):
    (tmp_path / ".env").write_text(
        "POSTGRES_PASSWORD=old\nRECSYS_ALERT_URL=https://x.example\nOF_A_PERSON=kept\n"
    )
    SCRIPT["main"](tmp_path)
    found = SCRIPT["read"](tmp_path / ".env")
    assert (found["POSTGRES_PASSWORD"], found["OF_A_PERSON"]) == ("old", "kept")
    assert found["RECSYS_ALERT_URL"] == "https://x.example" and found["MLFLOW_PASSWORD"]


@pytest.fixture(scope="module")
def seaweed(made, tmp_path_factory):
    """SeaweedFS with the identities that were made, and the four buckets."""
    folder = tmp_path_factory.mktemp("seaweed")
    (folder / "identity.json").write_bytes((made / "secrets/s3_identities.json").read_bytes())
    with start_seaweed(folder) as server:
        (script,) = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["buckets"]["command"]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in server.environment.items():
                patch.setenv(name, value)
            exec(script, {})
        yield server


@pytest.mark.servers
def test_each_role_reaches_its_own_buckets_and_no_other(seaweed, values):
    def client(role):
        return boto3.client(
            "s3",
            endpoint_url=seaweed.url,
            region_name="us-east-1",
            aws_access_key_id=values[f"{role}_ACCESS_KEY_ID"],
            aws_secret_access_key=values[f"{role}_SECRET_ACCESS_KEY"],
        )

    buckets = ("landing", "releases", "dvc", "mlflow")
    for bucket in buckets:
        client("ADMIN").put_object(Bucket=bucket, Key="there", Body=b"1")
    may = {
        "WORKER": ({"landing", "releases", "dvc"}, {"landing", "releases", "dvc"}),
        "WATCHER": ({"landing"}, set()),
        "MLFLOW": ({"mlflow"}, {"mlflow"}),
        "PRODUCER": (set(), {"landing"}),
        "READER": ({"releases"}, set()),
    }
    for role, (reads, writes) in may.items():
        s3 = client(role)
        calls = {
            "read": (reads, lambda s3, bucket: s3.get_object(Bucket=bucket, Key="there")),
            "list": (reads, lambda s3, bucket: s3.list_objects_v2(Bucket=bucket)),
            "write": (writes, lambda s3, bucket: s3.put_object(Bucket=bucket, Key="new", Body=b"1")),
            "delete": (writes, lambda s3, bucket: s3.delete_object(Bucket=bucket, Key="new")),
        }
        for what, (allowed, call) in calls.items():
            for bucket in buckets:
                if bucket in allowed:
                    call(s3, bucket)
                    continue
                with pytest.raises(ClientError) as refused:
                    call(s3, bucket)
                assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403, (
                    role,
                    what,
                    bucket,
                )


@pytest.mark.servers
def test_the_workers_identity_is_enough_for_landing_zone_and_store(seaweed, values, monkeypatch):
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", values["WORKER_ACCESS_KEY_ID"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", values["WORKER_SECRET_ACCESS_KEY"])
    landing, store = open_storage("s3://landing"), open_storage("s3://releases")
    landing.write("catalogue/a.jsonl", b"{}")
    landing.move("catalogue/a.jsonl", "processed/a.jsonl")
    assert [entry.key for entry in landing.list("processed/")] == ["processed/a.jsonl"]
    store.swap("CURRENT", b"1", None)
    content, tag = store.read_tagged("CURRENT")
    store.swap("CURRENT", b"2", tag)
    assert store.read("CURRENT") == b"2" and content == b"1"
    store.delete("CURRENT")


@contextmanager
def mlflow_as_composed(folder, values):
    """The server of compose.yaml, with its own command and settings; databases and artifacts below a folder."""
    service = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))["services"]["mlflow"]
    (port,) = free_ports(1)
    changes = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--artifacts-destination": str(folder / "artifacts"),
    }
    changes["--allowed-hosts"] = f"127.0.0.1:{port}"
    options = [option.partition("=") for option in service["command"]]
    command = [
        which("mlflow"),
        "server",
        *(f"{name}={changes.get(name, value)}" for name, _, value in options),
    ]
    settings = (DOCKER / "mlflow-auth.ini").read_text("utf-8").replace("/opt/airflow/mlflow/", f"{folder}/")
    (folder / "auth.ini").write_text(settings)
    environment = {
        name: re.sub(r"\$\{(\w+):[^}]*\}", lambda found: values[found[1]], value)
        for name, value in service["environment"].items()
        if name.startswith("MLFLOW_")
    }
    environment |= {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/mlflow.db",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
    }
    process = start("MLflow", command, folder / "mlflow.log", environment, folder=folder, grace_s=2)
    url = f"http://127.0.0.1:{port}"
    server = Server("MLflow", url, {}, folder / "mlflow.log", [process])
    server.answers = lambda: answers_at(f"{url}/health")
    with server.wait(quiet_s=120):
        yield url


@pytest.mark.servers
def test_mlflow_answers_those_who_know_the_password_and_nobody_else(tmp_path, values, monkeypatch):
    with mlflow_as_composed(tmp_path, values) as url:
        for path in (
            "/",
            "/api/2.0/mlflow/experiments/get?experiment_id=0",
            "/ajax-api/2.0/mlflow/users/list",
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url + path, timeout=30)
            assert refused.value.code == 401, path
            refused.value.close()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "firstlight")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        with pytest.raises(RegistryUnreachable, match="401"):
            version_at(url, "item-encoder", "champion")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", values["MLFLOW_PASSWORD"])
        assert version_at(url, "item-encoder", "champion") is None
    log = (tmp_path / "mlflow.log").read_text()
    assert values["MLFLOW_PASSWORD"] not in log
