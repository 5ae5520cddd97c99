"""A load of HTTP requests against a service: at a fixed rate (open loop), or one after another (closed loop).

In open loop a request is due at its time whether or not those before it were answered, and its latency counts from
then: a service that stalls is not spared (the "coordinated omission" of closed loops). Runs in a process of its own.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.figures import ROOT

CONNECTIONS = 64
"""At most so many requests wait for an answer in open loop."""


@dataclass(frozen=True)
class Request:
    """One request: a POST of JSON."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Load:
    """What a load measured."""

    n: int
    failed: int
    """Answers other than 200 and 503, and broken connections."""
    p50_ms: float
    """Of requests that were not turned away."""
    p99_ms: float
    """Likewise."""
    rate: float
    """Of these, per second."""
    refused: int = 0
    """Answers 503 that say when to ask again."""
    refused_p99_ms: float = 0.0


def open_loop(
    url: str,
    requests: Sequence[Request],
    rate: float,
    seconds: float,
    scratch: Path,
    connections: int = CONNECTIONS,
) -> Load:
    """Send requests at a fixed rate, again from the first where they run out.

    Args:
        url: of the service.
        requests: in order.
        rate: per second.
        seconds: how long.
        scratch: folder for the file of requests.
        connections: at most so many requests wait for an answer.

    Returns:
        The measurement.
    """
    options = ("--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections))
    return _in_a_process(url, requests, scratch, *options)


def closed_loop(url: str, requests: Sequence[Request], clients: int, seconds: float, scratch: Path) -> Load:
    """Send requests from some clients, each its next one when the one before was answered.

    Args:
        url: of the service.
        requests: in order, shared by the clients.
        clients: at once.
        seconds: how long.
        scratch: folder for the file of requests.

    Returns:
        The measurement.
    """
    return _in_a_process(url, requests, scratch, "--clients", str(clients), "--seconds", str(seconds))


def _in_a_process(url: str, requests: Sequence[Request], scratch: Path, *options: str) -> Load:
    file = scratch / "requests.jsonl"
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in requests))
    command = [sys.executable, "-m", "bench.serve_load", url, str(file), *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Load(**json.loads(done.stdout))


class _Client:
    def __init__(self, url: str, requests: Sequence[Request]) -> None:
        self._bodies = [(f"{url}{one.path}", json.dumps(one.body).encode()) for one in requests]
        self.latencies: list[float] = []
        self.refused: list[float] = []
        """Latencies of answers 503."""
        self.failed = 0

    async def send(self, session: Any, number: int, due: float) -> None:  # noqa: ANN401  aiohttp.ClientSession
        import aiohttp

        url, body = self._bodies[number % len(self._bodies)]
        latencies = self.latencies
        try:
            async with session.post(url, data=body, headers={"content-type": "application/json"}) as answer:
                await answer.read()
                if answer.status == 503 and "retry-after" in answer.headers:
                    latencies = self.refused
                else:
                    self.failed += answer.status != 200
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
        latencies.append(time.perf_counter() - due)


async def _open(client: _Client, session: Any, rate: float, seconds: float) -> None:  # noqa: ANN401
    began, tasks = time.perf_counter(), set()
    for number in range(round(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(client.send(session, number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)


async def _closed(client: _Client, session: Any, clients: int, seconds: float) -> None:  # noqa: ANN401
    until, numbers = time.perf_counter() + seconds, iter(range(1 << 60))

    async def one() -> None:
        while (now := time.perf_counter()) < until:
            await client.send(session, next(numbers), now)

    await asyncio.gather(*(one() for _ in range(clients)))


async def _run(args: argparse.Namespace) -> Load:
    import aiohttp

    requests = [Request(**json.loads(line)) for line in args.requests.read_text().splitlines()]
    client = _Client(args.url, requests)
    connector = aiohttp.TCPConnector(limit=args.clients or args.connections)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(30)) as session:
        began = time.perf_counter()
        if args.rate:
            await _open(client, session, args.rate, args.seconds)
        else:
            await _closed(client, session, args.clients, args.seconds)
        took = time.perf_counter() - began
    p50, p99 = np.percentile(client.latencies or [np.inf], (50, 99)) * 1000
    n, refused_p99 = len(client.latencies), np.percentile(client.refused or [0.0], 99) * 1000
    return Load(
        n,
        client.failed,
        round(float(p50), 2),
        round(float(p99), 2),
        round(n / took, 1),
        len(client.refused),
        round(float(refused_p99), 2),
    )


def main() -> None:
    """Run one load and print what it measured as JSON."""
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("requests", type=Path)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=10.0)
    print(json.dumps(asdict(uvloop.run(_run(parser.parse_args())))))


if __name__ == "__main__":
    main()
