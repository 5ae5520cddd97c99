"""The platform comes up whole, stays up without its owner, and goes down without a trace."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from localplatform.airflow_client import Airflow
from localplatform.processes import QUIET, StartFailed, path_with_venv
from localplatform.up import OUTPUT, STATE, down, environment, running

ROOT = Path(__file__).resolve().parents[2]
UP = """
import sys
from pathlib import Path
from rich.console import Console
from localplatform.up import up
up(Path(sys.argv[1]), Path(sys.argv[2]), Console(width=200))
"""


def processes_of(folder: Path) -> list[str]:
    """Command lines of living processes that name the folder, or have it in their environment."""
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
            continue
        try:
            words = [*process.cmdline(), process.environ().get("AIRFLOW_HOME", "")]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(str(folder) in word for word in words):
            found.append(" ".join(words))
    return found


def call_up(folder: Path) -> str:
    chosen = os.environ | QUIET | {"PATH": path_with_venv()}
    command = [sys.executable, "-c", UP, str(ROOT), str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=chosen, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def webhooks(registry: str) -> list[str]:
    """Where MLflow sends what it has to tell."""
    from mlflow import MlflowClient

    return [one.url for one in MlflowClient(registry).list_webhooks()]


@pytest.mark.servers
def test_up_outlives_its_command_twice_is_harmless_and_down_leaves_nothing(tmp_path: Path):
    folder = tmp_path / "demo"
    quiet = Console(quiet=True)
    try:
        output = call_up(folder)
        guards = running(folder)
        assert len(guards) == 7  # SeaweedFS, MLflow, Airflow's four, and the service
        assert "user admin password" in output and str(folder / "workspace") in output
        given = environment(folder)
        kept = json.loads((folder / "servers/airflow/secrets.json").read_text())
        airflow = Airflow(json.loads((folder / STATE).read_text())["airflow"], "admin", kept["password"])
        assert airflow.import_errors() == []
        assert {"RECSYS_LANDING", "RECSYS_STORE", "RECSYS_PSEUDONYM_KEY", "MLFLOW_TRACKING_URI"} <= set(given)
        assert webhooks(given["MLFLOW_TRACKING_URI"]) == [f"{airflow.url}/recsys/champion"]
        assert len(given["RECSYS_WEBHOOK_SECRET"]) == 64
        again = call_up(folder)
        assert "runs already" in again and kept["password"] in again
        assert {guard.pid for guard in running(folder)} == {guard.pid for guard in guards}
    finally:
        down(folder, quiet)
    assert running(folder) == [] and processes_of(folder) == []
    assert not (folder / STATE).exists() and (folder / OUTPUT).exists()
    with pytest.raises(StartFailed, match="make up"):
        environment(folder)
    down(folder, quiet)  # twice is harmless


def test_a_number_that_another_process_got_since_is_not_ours(tmp_path: Path):
    state = {"guards": [{"pid": os.getpid(), "born": 1.0}], "leftovers": [], "environment": {}}
    (tmp_path / STATE).write_text(json.dumps(state))
    assert running(tmp_path) == []
    down(tmp_path, Console(quiet=True))  # ends nobody
    assert not (tmp_path / STATE).exists()
