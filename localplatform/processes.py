"""Start processes that never outlive their owner, find free ports, and wait until a server answers."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from localplatform.errors import LocalError
from localplatform.patience import Patience, seconds_of_trees

GUARD = Path(__file__).with_name("guard.py")
STOP_TIMEOUT_S = 30.0
# Below Linux' range for outgoing connections, so that no process takes one in between.
PORTS = range(20000, 32000)

QUIET = {
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "SCARF_ANALYTICS": "false",
    "SCARF_NO_ANALYTICS": "true",
    "TOKENIZERS_PARALLELISM": "false",
}
"""No telemetry, and no downloads from a model hub."""


class StartFailed(LocalError):
    """A server did not start; the message shows the tail of its log."""


@dataclass
class Process:
    """A guarded command with its log."""

    name: str
    log: Path
    guard: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """Whether the command still runs."""
        return self.guard.poll() is None

    def stop(self) -> None:
        """End the command and everything it started. Safe to repeat."""
        if self.guard.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.guard.stdin.close()
        if self.running:
            self.guard.send_signal(signal.SIGTERM)
        try:
            self.guard.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.guard.pid, signal.SIGKILL)
            self.guard.wait()


@dataclass
class Server:
    """A running server of one or several processes.

    Attributes:
        name: for messages.
        url: its address.
        environment: variables for clients.
        log: the main log.
        processes: the guarded processes behind it.
        details: credentials and addresses for people.
        leftovers: files outside its folder that remain when it is killed.
        answers: returns whether it is ready.
    """

    name: str
    url: str
    environment: dict[str, str]
    log: Path
    processes: list[Process]
    details: dict[str, str] = field(default_factory=dict)
    leftovers: tuple[Path, ...] = ()
    answers: Callable[[], bool] = field(default=lambda: True, repr=False)

    def wait(self, quiet_s: float) -> "Server":
        """Wait until it answers. On failure it is stopped, and StartFailed shows the log's tail."""
        wait_until(self.answers, self.processes, quiet_s, every_s=0.2)
        return self

    def stop(self) -> None:
        """End every process of the server. Safe to repeat."""
        for process in reversed(self.processes):
            if process.running:
                process.guard.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()
        for path in self.leftovers:
            path.unlink(missing_ok=True)

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(
    name: str,
    command: list[str],
    log: Path,
    environment: dict[str, str] | None = None,
    *,
    folder: Path | None = None,
    grace_s: float = 0.0,
    detached: bool = False,
    after: str | None = None,
) -> Process:
    """Start a guarded command whose output goes to `log`.

    Args:
        name: for messages.
        command: program and arguments.
        log: its output is appended here.
        environment: added to this process's own and to QUIET.
        folder: working directory.
        grace_s: seconds between SIGTERM and SIGKILL when it is stopped; 0: SIGKILL at once.
        detached: keep it running when this process ends.
        after: start the command only when this address answers.

    Returns:
        The running process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    options = ["--grace", str(grace_s)] + (["--detached"] if detached else [])
    options += ["--after", after] if after else []
    with log.open("ab") as output:
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), *options, "--", *command],
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | QUIET | {"PATH": path_with_venv()} | (environment or {}),
            cwd=folder,
            start_new_session=True,
        )
    return Process(name, log, guard)


def wait_until(
    answers: Callable[[], bool], processes: list[Process], quiet_s: float, every_s: float = 0.1
) -> None:
    """Poll until `answers` is true. On failure every process is stopped.

    Args:
        answers: returns whether the server is ready.
        processes: must keep running meanwhile.
        quiet_s: timeout without progress, that is, while no log grows and no process computes; ten times that in all.
        every_s: pause between two polls.

    Raises:
        StartFailed: a process ended, or the timeout is over; shows the log's tail.
    """
    patience = Patience(quiet_s, most_s=10 * quiet_s)
    try:
        while not answers():
            for process in processes:
                if not process.running:
                    raise StartFailed(f"{process.name} ended on its own.\n{tail(process.log)}")
            logs = [process.log.stat().st_size for process in processes if process.log.exists()]
            if patience.is_over(logs, seconds_of_trees(process.guard.pid for process in processes)):
                slow = "\n".join(tail(process.log) for process in processes)
                quiet = f"nothing has moved for {patience.still_s:.0f} s"
                raise StartFailed(f"{processes[0].name} does not answer, {quiet}.\n{slow}")
            time.sleep(every_s)
    except BaseException:
        for process in processes:
            process.stop()
        raise


def answers_at(url: str) -> bool:
    """Whether a GET request returns 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(200 <= reply.status < 300)
    except (OSError, urllib.error.URLError):
        return False


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, under its name."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return "\n".join([f"--- the end of {log} ---", *text.splitlines()[-lines:]])


def free_ports(n: int, preferred: tuple[int, ...] = ()) -> list[int]:
    """Find `n` different free loopback ports, preferred ones first."""
    found: list[int] = []
    candidates = [*preferred, *random.SystemRandom().sample(PORTS, 50 * n)]
    for port in candidates:
        if len(found) == n:
            break
        with socket.socket() as probe:
            # A stopped server leaves connections in TIME_WAIT; a port with a listening server is still refused.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def path_with_venv() -> str:
    """PATH with this Python's own programs first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def which(program: str) -> str:
    """Path of a program in this Python's environment; StartFailed where it is not installed."""
    path = Path(sys.executable).parent / program
    if not path.exists():
        raise StartFailed(f"{path} is missing; `make setup` installs it")
    return str(path)
