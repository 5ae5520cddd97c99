"""Airflow's api-server, scheduler, dag-processor and triggerer on one machine: sqlite, LocalExecutor, loopback."""

import base64
import json
import os
import secrets
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from localplatform.processes import (
    QUIET,
    Process,
    Server,
    StartFailed,
    free_ports,
    path_with_venv,
    start,
    tail,
    which,
)

USER = "admin"
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
NO_CHANGES: Mapping[str, str] = MappingProxyType({})
# The four parts whose health /api/v2/monitor/health must report.
HEALTHY = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def start_airflow(
    workspace: Path,
    folder: Path,
    environment: dict[str, str],
    *,
    port: int | None = None,
    detached: bool = False,
    wait: bool = True,
    changes: Mapping[str, str] = NO_CHANGES,
) -> Server:
    """Start Airflow on the DAGs and plugins of a workspace and wait until all four parts are healthy.

    `airflow standalone` starts the same four, and one more process. Here scheduler and triggerer wait for the
    api-server, since tasks report to it: a task that started earlier would fail.

    Args:
        workspace: its `dags/` and `plugins/` are served.
        folder: AIRFLOW_HOME: database, `secrets.json` (password and keys, made once, then kept) and logs.
        environment: variables for tasks and triggers (RECSYS_*, AWS_*, MLFLOW_TRACKING_URI).
        port: preferred port of the UI.
        detached: keep it running when this process ends.
        wait: True: return when all four are healthy. False: return at once; the caller calls `Server.wait`.
        changes: settings of Airflow, as environment variables, that are laid over those chosen here.

    Returns:
        The server; `details` holds the user and the password.

    Raises:
        StartFailed: it did not start; shows the logs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (chosen,) = free_ports(1, (port,) if port else ())
    url = f"http://127.0.0.1:{chosen}"
    password, keys = _secrets(folder)
    settings = environment | _settings(workspace, folder, chosen) | keys | dict(changes)
    logs = folder / "logs"
    _migrate(settings, logs / "migrate.log")
    processes = [_start(part, settings, logs, url, detached=detached) for part in PARTS]
    details = {"user": USER, "password": password, "AIRFLOW_HOME": str(folder)}
    server = Server("Airflow", url, settings, logs / "scheduler.log", processes, details)
    server.answers = lambda: _healthy(url)
    return server.wait(quiet_s=240) if wait else server


def start_worker(
    server: Server, name: str, queues: str, workspace: Path, folder: Path, environment: Mapping[str, str]
) -> Process:
    """Start a Celery worker of a running Airflow, as if on a machine of its own.

    Args:
        server: made by `start_airflow`, with CeleryExecutor.
        name: of the worker.
        queues: that it takes tasks from, with commas between.
        workspace: its own; the same DAGs and plugins as the server's.
        folder: its AIRFLOW_HOME and HOME.
        environment: of its tasks, laid over the server's.

    Returns:
        The process. When it is stopped, all that it started is killed at once, as when a machine dies.
    """
    own = {
        "AIRFLOW_HOME": str(folder),
        "HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(workspace / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(workspace / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
    }
    command = [
        which("airflow"),
        "celery",
        "worker",
        f"--celery-hostname={name}@localhost",
        f"--queues={queues}",
    ]
    command += ["--concurrency=2", "--skip-serve-logs", "--without-mingle", "--without-gossip"]
    return start(
        f"worker {name}", command, folder / "worker.log", {**server.environment, **environment, **own}
    )


def _start(part: str, settings: dict[str, str], logs: Path, url: str, *, detached: bool) -> Process:
    runs_tasks = part in ("scheduler", "triggerer")
    options = ["--skip-serve-logs"] if runs_tasks else []  # the api-server reads them from the files
    return start(
        f"Airflow {part}",
        [which("airflow"), part, *options],
        logs / f"{part}.log",
        settings,
        grace_s=5,
        detached=detached,
        after=f"{url}/api/v2/version" if runs_tasks else None,
    )


def _settings(workspace: Path, folder: Path, port: int) -> dict[str, str]:
    """Airflow's configuration, as its environment variables."""
    sections: dict[str, dict[str, object]] = {
        "core": {
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_users": f"{USER}:admin",
            "simple_auth_manager_passwords_file": folder / "passwords.json",
            "dags_folder": workspace / "dags",
            "plugins_folder": workspace / "plugins",
            "executor": "LocalExecutor",
            "parallelism": 4,
            "load_examples": False,
            "dags_are_paused_at_creation": False,
            "execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
        },
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "workers": 1,
            "base_url": f"http://127.0.0.1:{port}",
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{folder / 'airflow.db'}"},
        "scheduler": {"scheduler_idle_sleep_time": 0.5},
        "dag_processor": {"parsing_processes": 1, "refresh_interval": 30, "min_file_process_interval": 180},
        "triggerer": {"job_heartbeat_sec": 2},
        "logging": {"colored_console_log": False},
    }
    named = {
        f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
        for section, options in sections.items()
        for option, value in options.items()
    }
    return named | {"AIRFLOW_HOME": str(folder), "NO_COLOR": "1"}


def _secrets(folder: Path) -> tuple[str, dict[str, str]]:
    """The admin's password and Airflow's keys. They are made once and kept in `secrets.json`."""
    kept = folder / "secrets.json"
    if not kept.exists():
        made = {
            "password": secrets.token_urlsafe(12),
            "jwt": secrets.token_hex(32),
            "session": secrets.token_hex(32),
            "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(made, indent=2), encoding="utf-8")
    made = json.loads(kept.read_text(encoding="utf-8"))
    passwords = folder / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({USER: made["password"]}), encoding="utf-8")
    keys = {
        "AIRFLOW__API_AUTH__JWT_SECRET": made["jwt"],
        "AIRFLOW__API__SECRET_KEY": made["session"],
        "AIRFLOW__CORE__FERNET_KEY": made["fernet"],
    }
    return made["password"], keys


def _migrate(settings: dict[str, str], log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        done = subprocess.run(
            [which("airflow"), "db", "migrate"],
            env=os.environ | QUIET | {"PATH": path_with_venv()} | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise StartFailed(f"airflow db migrate failed.\n{tail(log)}")


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as reply:
            found = json.load(reply)
    except OSError:
        return False
    return all((found.get(part) or {}).get("status") == "healthy" for part in HEALTHY)
