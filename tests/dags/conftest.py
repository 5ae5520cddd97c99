"""One real Airflow for all tests here; workspace, landing zone and store are folders, alerts go to a server."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from localplatform.airflow_client import FINISHED, Airflow, Run
from localplatform.airflow_server import start_airflow
from localplatform.patience import Patience, seconds_of_commands
from localplatform.processes import Server
from localplatform.servers import start_mlflow
from localplatform.workspace import make_workspace
from tests.conftest import MLFLOW_WEBHOOKS

ROOT = Path(__file__).resolve().parents[2]
SWEEP_S = 30
RUNNING = ExitStack()
"""The servers of the platform."""
SECRET = "tests only: MLflow and Airflow share it"
# Where every challenger passes the gate but for one rule, and a person is asked.
LENIENT = {
    "min_margin_over_floor": -1.0,
    "min_margin_over_champion": 1.0,
    "max_loss_cold": 1.0,
    "max_loss_warm": 1.0,
    "max_loss_head": 1.0,
    "max_loss_tail": 1.0,
    "max_loss_mixed": 1.0,
    "max_loss_coverage": 1.0,
    "max_rise_gini": 1.0,
    "max_loss_worst_decile": 1.0,
    "min_test_users": 2,
    "min_coverage": 0.0,
    "needs_approval": True,
}
QUICK = {
    "batch_items": 16,
    "batch_users": 32,
    "top_layers": 1,
    "encode_tokens": 256,
    "learning_rate": 0.01,
    "k": 5,
}


@dataclass
class Alerts:
    """Everything that was posted to RECSYS_ALERT_URL: headers and body."""

    url: str
    key: str = "a key that signs alerts"
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@dataclass
class Platform:
    """The running Airflow and the places around it."""

    server: Server
    airflow: Airflow
    workspace: Path
    landing: Path
    store: str
    alerts: Alerts
    mlflow: str
    environment: dict[str, str]
    sweep_s: float = SWEEP_S
    secret: str = SECRET

    @property
    def workspaces(self) -> Path:
        """Where each run of the slow loop and of the release loop has its own."""
        return self.workspace / "var/workspaces"

    def own(self, dag: str, run_id: str) -> Path:
        """The workspace of one run."""
        return self.workspaces / f"{dag}.{run_id}"

    def land(self, name: str, rows: list[dict[str, Any]], kind: str = "catalogue") -> None:
        """Put a file into the landing zone as a producer should: another name first, then rename."""
        folder = self.landing / kind
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{name}.part"
        draft.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        draft.rename(folder / name)

    def wait(self, done: Callable[[], Any], what: str, quiet_s: float) -> Any:
        """Poll until `done` answers something true; the runs so far and the last log go into the failure.

        Patience ends when no command of the tasks has computed for `quiet_s`, or after five times that.
        """
        patience = Patience(quiet_s, most_s=5 * quiet_s)
        while not (found := done()):
            if patience.is_over(seconds_of_commands(self.workspace)):
                pytest.fail(f"{what}: nothing has moved for {patience.still_s:.0f} s\n{self.story()}")
            time.sleep(0.5)
        return found

    def idle(self) -> bool:
        """Whether no run of the fast loop is under way or waits."""
        return all(run.state in FINISHED for run in self.airflow.runs("profile_arrivals"))

    def quiet(self, *dags: str) -> bool:
        """Whether no run of these is under way or waits."""
        return all(run.state in FINISHED for dag in dags for run in self.airflow.runs(dag))

    def wait_for_end(self, dag: str, run_id: str, quiet_s: float) -> Run:
        """Wait until a run ends."""

        def ended() -> Run | None:
            run = self.airflow.run(dag, run_id)
            return run if run.state in FINISHED else None

        found: Run = self.wait(ended, f"{run_id} ends", quiet_s)
        return found

    def story(self) -> str:
        """What ran so far, for a failure's message."""
        lines = []
        for dag in (
            "profile_arrivals",
            "rollback_release",
            "train_challenger",
            "train_when_due",
            "publish_champion",
            "watch_catalogue",
        ):
            for run in self.airflow.runs(dag):
                lines.append(f"{run.id} {run.state} {run.start} {run.end}")
                for task in self.airflow.tasks(run):
                    lines.append(f"    {task.name} {task.state} try {task.try_number}")
                    if task.state in ("failed", "up_for_retry"):
                        lines.append(self.airflow.log(run, task))
        return "\n".join(lines)

    def runs(self) -> dict[str, Run]:
        """Runs of the fast loop by id."""
        return {run.id: run for run in self.airflow.runs("profile_arrivals")}


@pytest.fixture(scope="session")
def alerts() -> Iterator[Alerts]:
    """A real HTTP server that keeps what it gets."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept = Alerts(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> Iterator[None]:
    """End the platform after the last test here, not with the session: Airflow computes as long as it runs."""
    try:
        yield
    finally:
        if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
            RUNNING.close()


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, alerts: Alerts) -> Platform:
    """Airflow on a clone of this checkout; the encoder is tiny and the sweep short, everything else as it ships."""
    base = tmp_path_factory.mktemp("platform")
    workspace, landing, store = base / "workspace", base / "landing", base / "store"
    make_workspace(ROOT, workspace)
    params = yaml.safe_load((workspace / "params.yaml").read_text("utf-8"))
    params["arrivals"] = {"poll_s": 1, "sweep_s": SWEEP_S}
    params["encoder"] |= {"source": str(tiny_encoder), "max_tokens": 32}
    params["split"] |= {"by": "item-hash", "min_test_users": 2}
    params["finetune"] |= QUICK
    params["gate"] |= LENIENT
    params["slow_loop"]["champion_sweep_s"] = SWEEP_S
    (workspace / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    landing.mkdir()
    environment = {
        "RECSYS_WORKSPACE": str(workspace),
        "RECSYS_LANDING": str(landing),
        "RECSYS_STORE": str(store),
        "RECSYS_PSEUDONYM_KEY": "tests only, sixteen and more",
        "RECSYS_ALERT_URL": alerts.url,
        "RECSYS_ALERT_KEY": alerts.key,
        "RECSYS_WEBHOOK_SECRET": SECRET,
    }
    mlflow = RUNNING.enter_context(start_mlflow(base / "mlflow", environment=MLFLOW_WEBHOOKS))
    environment |= mlflow.environment
    server = RUNNING.enter_context(start_airflow(workspace, base / "airflow", environment))
    airflow = Airflow.of(server)
    return Platform(server, airflow, workspace, landing, str(store), alerts, mlflow.url, environment)
