"""A client of Airflow's REST API for demo, tests and benchmarks: trigger a DAG, watch its runs and tasks."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from localplatform.errors import LocalError
from localplatform.processes import Server

FINISHED = ("success", "failed")
TRIES = 5
CONFLICT, SERVER_ERROR = 409, 500


class AirflowRefused(LocalError):
    """Airflow's API returned an error; holds its message and the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Task:
    """One task of a run; times are ISO 8601 or None."""

    name: str
    state: str
    start: str | None
    end: str | None
    try_number: int


@dataclass(frozen=True)
class Run:
    """One run of a DAG."""

    dag: str
    id: str
    state: str
    kind: str
    """asset_triggered, scheduled, manual, …"""
    start: str | None
    end: str | None


@dataclass
class Airflow:
    """A client that logs in when needed."""

    url: str
    user: str
    password: str
    _token: str = field(default="", repr=False)

    @classmethod
    def of(cls, server: Server) -> "Airflow":
        """A client of a server that `start_airflow` returned."""
        return cls(server.url, server.details["user"], server.details["password"])

    def trigger(self, dag: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run; returns its id.

        It is retried after a server error. On sqlite, Airflow 3.3 writes its audit log in the event loop, which can
        block on a request that waits for the loop, until sqlite gives up after 5 s. The id makes a retry harmless.
        """
        run_id = f"manual__{uuid4().hex}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf or {}}
        for left in reversed(range(TRIES)):
            try:
                self._call("POST", f"/api/v2/dags/{dag}/dagRuns", body)
                break
            except AirflowRefused as error:
                if error.status == CONFLICT:  # an earlier try did start it
                    break
                if error.status < SERVER_ERROR or not left:
                    raise
                time.sleep(1)
        return run_id

    def runs(self, dag: str) -> list[Run]:
        """The newest runs of a DAG, newest first."""
        query = urllib.parse.urlencode({"order_by": "-run_after", "limit": 50})
        found = self._call("GET", f"/api/v2/dags/{dag}/dagRuns?{query}")["dag_runs"]
        return [_run(one) for one in found]

    def run(self, dag: str, run_id: str) -> Run:
        """One run."""
        return _run(self._call("GET", f"/api/v2/dags/{dag}/dagRuns/{urllib.parse.quote(run_id, safe='')}"))

    def tasks(self, run: Run) -> list[Task]:
        """The tasks of a run, in order of their start; those that have not started last."""
        path = f"/api/v2/dags/{run.dag}/dagRuns/{urllib.parse.quote(run.id, safe='')}/taskInstances"
        found = self._call("GET", path)["task_instances"]
        tasks = [
            Task(
                one["task_id"],
                one["state"] or "waiting",
                one["start_date"],
                one["end_date"],
                one["try_number"],
            )
            for one in found
        ]
        return sorted(tasks, key=lambda task: (task.start is None, task.start or "", task.name))

    def log(self, run: Run, task: Task, lines: int = 30) -> str:
        """The end of a task's log."""
        path = (
            f"/api/v2/dags/{run.dag}/dagRuns/{urllib.parse.quote(run.id, safe='')}/taskInstances/{task.name}"
        )
        found = self._call("GET", f"{path}/logs/{max(task.try_number, 1)}")["content"]
        all_lines = [line if isinstance(line, str) else str(line.get("event", "")) for line in found]
        return "\n".join(all_lines[-lines:])

    def knows(self, dag: str) -> bool:
        """Whether the dag-processor has read the DAG."""
        try:
            self._call("GET", f"/api/v2/dags/{dag}")
        except AirflowRefused:
            return False
        return True

    def import_errors(self) -> list[str]:
        """Errors of DAG files that could not be imported."""
        found = self._call("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{one['filename']}: {one['stack_trace']}" for one in found]

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if not self._token:
            self._token = self._send(
                "POST", "/auth/token", {"username": self.user, "password": self.password}
            )["access_token"]
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=content, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                found: dict[str, Any] = json.load(reply)
                return found
        except urllib.error.HTTPError as error:
            words = error.read().decode("utf-8", "replace")[:2000]
            raise AirflowRefused(f"{method} {path}: HTTP {error.code}: {words}", error.code) from error


def _run(one: dict[str, Any]) -> Run:
    return Run(
        one["dag_id"], one["dag_run_id"], one["state"], one["run_type"], one["start_date"], one["end_date"]
    )
