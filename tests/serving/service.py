"""The real service in a process of its own, as `recsys serve` starts it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

KEY = "0123456789abcdef0123456789abcdef"


@contextmanager
def served(
    store: str, folder: Path, *options: str, params: dict[str, object] | None = None, landing: str = ""
) -> Iterator[httpx.Client]:
    """Start the service on a free port, wait until a release answers, and end it as an operator would.

    Args:
        store: where releases live.
        folder: gets the log, and a workspace whose params.yaml has `params` in section `serve`.
        options: of `recsys serve`.
        params: what differs from the shipped params.yaml.
        landing: RECSYS_LANDING; empty: not set.

    Yields:
        A client whose base is the service.
    """
    (folder / "params.yaml").write_text(with_params(params or {}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "recsys", "serve", "--store", store, "--port", str(port), *options]
    environment = os.environ | {
        "RECSYS_WORKSPACE": str(folder),
        "RECSYS_PSEUDONYM_KEY": KEY,
        "OMP_NUM_THREADS": "1",
    }
    environment |= {"RECSYS_LANDING": landing} if landing else {}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _wait(client, process, folder / "serve.log")
            yield client
        process.terminate()
        assert process.wait(30) in (0, -15), (folder / "serve.log").read_text()
    finally:
        process.kill()
        process.wait()


def with_params(changes: dict[str, object]) -> str:
    """The shipped params.yaml with other values in section `serve`."""
    lines = (Path(__file__).parents[2] / "params.yaml").read_text().splitlines()
    start = lines.index("serve:")
    for name, value in changes.items():
        (place,) = [n for n in range(start, len(lines)) if lines[n].startswith(f"  {name}:")]
        lines[place] = f"  {name}: {value}"
    return "\n".join(lines) + "\n"


def _wait(client: httpx.Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(log.read_text())
