"""Hostile requests to a running service: none may end in a server error, and none may open a route to a stranger.

Two kinds. schemathesis makes requests from the OpenAPI document, valid ones and broken ones. The rest is made here:
JSON that is nested deep, huge numbers, NaN, 10 MB of text, invalid UTF-8, and in each field of each request SQL, paths,
templates and wrong types. Every route of /v1 is also asked without a key, with a wrong one and with the wrong scopes.

    python -m bench.serve_fuzz
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from rich.console import Console
from schemathesis import GenerationMode
from schemathesis.core.result import Err

from bench.figures import ROOT
from bench.serve_fuzz_bodies import MEGABYTE, PATHS, RAW, REQUESTS, bodies, chunks
from bench.serve_service import Service, recsys_serve, running
from recsys.serving.service.access import SCOPES, add_key

HOME = ROOT / "var" / "bench" / "serve" / "fuzz"
STORE = ROOT / "tests/fixtures/releases/7/store"
N_EXAMPLES = 150
"""Requests per operation and kind that schemathesis makes."""
NEEDS = {"/v1/feedback": "feedback", "/v1/admin/follow": "admin", "/v1/admin/state": "admin"}
"""Scope of a route of /v1; every other one needs `read`."""
console = Console(stderr=True)


@dataclass
class Tally:
    """What came back."""

    n_requests: int = 0
    failures: list[str] = field(default_factory=list)
    """Of each server error: route, status, and the start of the answer."""
    unlocked: list[str] = field(default_factory=list)
    """Routes that answered somebody who may not ask."""

    def count(self, route: str, status: int, text: str) -> None:
        """Count an answer."""
        self.n_requests += 1
        if status >= 500:
            self.failures.append(f"{route}: {status} {text[:300]}")


def main() -> None:
    """Fuzz a store's service, show what failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", default=str(STORE))
    parser.add_argument("--examples", type=int, default=N_EXAMPLES)
    args = parser.parse_args()
    console.print_json(data=fuzz(args.store, HOME, args.examples))


def fuzz(store: str, folder: Path, n_examples: int = N_EXAMPLES) -> dict[str, float | int]:
    """Start the service over a store, with keys and a feedback store in SQLite, and send it everything.

    Args:
        store: where releases live.
        folder: for the log and the feedback.
        n_examples: requests per operation and kind that schemathesis makes.

    Returns:
        `fuzz_requests`, `fuzz_5xx`, `fuzz_unlocked` (routes that answered somebody who may not ask) and `fuzz_peak_mb`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys: dict[str, str] = {scope: add_key(folder / "keys.json", scope, [scope]) for scope in SCOPES}
    all_scopes = add_key(folder / "keys.json", "all", SCOPES)
    tally = Tally()
    command = recsys_serve(
        store,
        folder,
        "--keys",
        str(folder / "keys.json"),
        "--feedback",
        f"sqlite:///{folder}/feedback.sqlite",
    )
    with running(command, folder) as service, _peak(service) as peak_mb:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            locked(client, keys, tally)
            client.headers["Authorization"] = f"Bearer {all_scopes}"
            hostile(client, tally)
        by_schema(service.url, all_scopes, n_examples, tally)
        assert httpx.get(f"{service.url}/readyz", timeout=60).status_code == 200, (
            "the service no longer answers"
        )
        most = peak_mb()
    for failure in dict.fromkeys([*tally.failures, *tally.unlocked]):
        console.print(failure, markup=False, highlight=False)
    return {
        "fuzz_requests": tally.n_requests,
        "fuzz_5xx": len(tally.failures),
        "fuzz_unlocked": len(tally.unlocked),
        "fuzz_peak_mb": round(most, 1),
    }


def hostile(client: httpx.Client, tally: Tally) -> None:
    """Bodies, fields and paths that nobody sends by mistake."""
    for route, whole in REQUESTS.items():
        for content in (*RAW, *bodies(whole)):
            _send(client, tally, "POST", route, content)
        for kind in (
            "text/plain",
            "application/xml",
            "multipart/form-data; boundary=x",
            "application/json; charset=x",
        ):
            _send(client, tally, "POST", route, b'{"k": 1}', kind)
        _send(client, tally, "POST", route, chunks())  # 10 MB that no header announces
    for path in PATHS:
        for start in ("/v1/similar/", "/page/", "/v1/", "/"):
            _send(client, tally, "GET", f"{start}{path}")
    for route in ("/version", "/metrics", "/healthz", "/readyz", "/", "/openapi.json", *REQUESTS):
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"):
            _send(client, tally, method, route)


def _send(
    client: httpx.Client,
    tally: Tally,
    method: str,
    path: str,
    content: bytes | Iterator[bytes] | None = None,
    kind: str = "application/json",
) -> None:
    try:
        found = client.request(method, path, content=content, headers={"Content-Type": kind})
    except (
        httpx.WriteError,
        httpx.RemoteProtocolError,
    ):  # it has answered and closed before the body was sent
        tally.n_requests += 1
        return
    tally.count(f"{method} {path[:80]}", found.status_code, found.text)


def locked(client: httpx.Client, keys: dict[str, str], tally: Tally) -> None:
    """Ask every route of /v1 without a key, with a wrong one and with each scope that does not open it.

    Args:
        client: of the service, without a key.
        keys: one per scope.
        tally: gets what answered.
    """
    paths = client.get("/openapi.json").json()["paths"]
    for route, operations in paths.items():
        if not route.startswith("/v1/"):
            continue
        needed = NEEDS.get(route, "read")
        wrong = {"": 401, "Bearer wrong": 401, "Basic YTpi": 401, f"Bearer {keys[needed]}x": 401}
        wrong |= {f"Bearer {key}": 403 for scope, key in keys.items() if scope != needed}
        path = route.replace("{item}", "a")
        for method in operations:
            for header, status in wrong.items():
                found = client.request(
                    method.upper(), path, json=REQUESTS.get(route, {}), headers={"Authorization": header}
                )
                tally.count(f"{method} {route}", found.status_code, found.text)
                if found.status_code != status:
                    tally.unlocked.append(f"{method} {route} answered {found.status_code} to {header[:8]!r}…")


def by_schema(url: str, key: str, n_examples: int, tally: Tally) -> None:
    """Requests that schemathesis makes from the OpenAPI document, as it says and otherwise.

    Args:
        url: of the service.
        key: opens everything.
        n_examples: per operation and kind.
        tally: gets what answered.
    """
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for result in schema.get_all_operations():
        if isinstance(result, Err):
            raise result.err()  # the document describes an operation wrongly
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _by_operation(result.ok(), mode, key, n_examples, tally)


def _by_operation(
    operation: schemathesis.APIOperation[Any, Any, Any, Any],
    mode: GenerationMode,
    key: str,
    n_examples: int,
    tally: Tally,
) -> None:
    @settings(
        max_examples=n_examples,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        found = case.call(headers={"Authorization": f"Bearer {key}"}, timeout=60)
        tally.count(operation.label, found.status_code, found.text)

    try:
        ask()
    except Unsatisfiable:  # an operation without parameters has no broken request
        if mode is GenerationMode.POSITIVE:
            raise


@contextmanager
def _peak(service: Service) -> Iterator[Callable[[], float]]:
    """Watch the resident memory of the service's processes.

    Yields:
        A function that gives the most so far, in MB.
    """
    ending, most = threading.Event(), [0.0]

    def watch() -> None:
        while not ending.is_set():
            processes = [psutil.Process(service.process.pid)]
            processes += processes[0].children(recursive=True)
            most[0] = max(most[0], sum(one.memory_info().rss for one in processes) / MEGABYTE)
            time.sleep(0.05)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield lambda: most[0]
    finally:
        ending.set()
        thread.join()


if __name__ == "__main__":
    main()
