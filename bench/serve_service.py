"""The service under test as a process, and what the kernel says of its memory."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from bench.figures import ROOT

KEY = "benchmark-key-0123456789"
"""As `bench.arrivals` lands with."""
LONGEST_START_S = 300


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    process: "subprocess.Popen[bytes]"
    ready_s: float
    """From the start of the process until every worker answered."""
    log: Path

    def pss_mb(self) -> float:
        """Proportional set size of all its processes: memory that is shared counts once."""
        processes = [psutil.Process(self.process.pid)]
        processes += processes[0].children(recursive=True)
        return float(sum(one.memory_full_info().pss for one in processes)) / 2**20

    def cpu_s(self) -> float:
        """Processor time that its processes have used."""
        processes = [psutil.Process(self.process.pid)]
        processes += processes[0].children(recursive=True)
        return float(sum(used.user + used.system for used in (one.cpu_times() for one in processes)))

    def private_mb(self) -> float:
        """Memory that its processes do not share."""
        processes = [psutil.Process(self.process.pid)]
        processes += processes[0].children(recursive=True)
        return float(sum(one.memory_full_info().uss for one in processes)) / 2**20


def recsys_serve(
    store: str, folder: Path, *options: str, params: Mapping[str, str] | None = None
) -> list[str]:
    """The command that serves a store; its workspace is `folder`, with the shipped params.yaml changed by `params`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (ROOT / "params.yaml").read_text().splitlines()
    start = lines.index("serve:")
    for name, value in (params or {}).items():
        (place,) = [n for n in range(start, len(lines)) if lines[n].startswith(f"  {name}:")]
        lines[place] = f"  {name}: {value}"
    (folder / "params.yaml").write_text("\n".join(lines) + "\n")
    return [sys.executable, "-m", "recsys", "serve", "--store", store, *options]


@contextmanager
def running(command: Sequence[str], folder: Path, workers: int = 1) -> Iterator[Service]:
    """Start a service that takes `--port`, wait until all of it is ready, and end it as an operator would.

    Args:
        command: without the port.
        folder: its working folder, RECSYS_WORKSPACE too; gets the log.
        workers: so many must be ready. For more than one the service must have Firstlight's page of metrics.

    Yields:
        The service.

    Raises:
        RuntimeError: it ended, or was not ready in time; shows the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "RECSYS_WORKSPACE": str(folder),
        "RECSYS_PSEUDONYM_KEY": KEY,
        "RECSYS_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("RECSYS_LANDING", None)
    log = folder / "serve.log"
    started = time.perf_counter()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        _wait(f"http://127.0.0.1:{port}", process, log, workers)
        yield Service(f"http://127.0.0.1:{port}", process, time.perf_counter() - started, log)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        for one in (
            (*psutil.Process(process.pid).children(recursive=True), process) if process.poll() is None else ()
        ):
            one.kill()
        process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path, workers: int) -> None:
    """Until the service is ready, in all its workers: one that is not ready takes no connection, so others answer."""
    until = time.monotonic() + LONGEST_START_S
    while not _ready(url, workers):
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the service is not ready; its log:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


def _ready(url: str, workers: int) -> bool:
    try:
        if httpx.get(f"{url}/readyz", timeout=5).status_code != 200:
            return False
        if workers == 1:
            return True
        page = httpx.get(f"{url}/metrics", timeout=5).text
    except httpx.TransportError:
        return False
    lines = [line for line in page.splitlines() if line.startswith("firstlight_release_sequence{")]
    return sum(float(line.split()[-1]) > 0 for line in lines) == workers
