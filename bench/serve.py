"""Serving: recall, latency, memory and start at 100,000 and 1,000,000 items, beside rivals; swaps, faults, quality.

Catalogues are made of real titles, the model is learned from real interactions (`serve_world.py`). The client runs on
the same machine. Each step leaves var/bench/serve/<step>.json when it is done, so a run that was stopped goes on;
`--again STEP` measures a step once more. Figures of feedback, search and new users are taken over from their own
benchmarks, where those have run.

    make bench-serve
    python -m bench.serve --only serve_1000000
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.figures import ROOT, commit, write_figures
from bench.serve_load import Load, Request, closed_loop, open_loop
from bench.serve_service import KEY, LONGEST_START_S, Service, recsys_serve, running
from bench.serve_world import HOME, World, make, papers

SMALL, LARGE = World(100_000), World(1_000_000)
WORKERS = 2
K = 10
RATE = 100.0
RATES = (50, 100, 150, 200, 300, 400, 500, 600, 800)
LIMIT_MS = 50.0
SECONDS = 15.0
ROUNDS = 3
CLIENTS = 4
OVERLOAD = 2
"""Times the rate that a service answers, in the step `saturation`."""
CALLERS = 1000
"""More requests than the service lets in may wait for an answer there."""
CALLERS_AT_START = 16
N_REQUESTS = 2000
N_SWAPS = 50
N_EXAMPLES = 100
"""Of schemathesis, for each operation."""
OTHERS = {
    "feedback_kills": {name: name for name in ("feedback_kills", "feedback_lost", "feedback_double")},
    "search": {f"cranfield_all_{kind}": f"cranfield_ndcg10_{kind}" for kind in ("bm25", "profiles", "fused")},
    "new_users": {name: name for name in (f"new_user_ndcg20_{cut}" for cut in (0, 1, 2, 5))},
}
"""Figures of other benchmarks: their name there, and here."""
console = Console(stderr=True)
Figures = dict[str, float | int | str]


def main() -> None:
    """Run the steps that have no result yet, and write the figures."""
    steps: Mapping[str, Callable[[], Figures]] = {
        **{f"recall_{world.size}": partial(recall, world) for world in (SMALL, LARGE)},
        **{f"serve_{world.size}": partial(serve, world) for world in (SMALL, LARGE)},
        **{f"rivals_{world.size}": partial(rivals, world) for world in (SMALL, LARGE)},
        "filters": filters,
        "plain": plain,
        "saturation": saturation,
        "swaps": swaps,
        "fuzz": fuzz,
    }
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=list(steps), help="may be repeated")
    parser.add_argument("--again", action="append", default=[], choices=list(steps), help="may be repeated")
    args = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    for name, step in steps.items():
        kept = HOME / f"{name}.json"
        if (args.only and name not in args.only) or (kept.exists() and name not in args.again):
            continue
        console.rule(name)
        found = step()
        kept.write_text(
            json.dumps({"commit": commit(), "load": os.getloadavg()[0], "figures": found}, indent=1)
        )
        show(name, found)
    figures = collected(steps)
    show("serve", figures)
    if not args.only:
        write_figures("serve", figures)


def recall(world: World) -> Figures:
    """Of our index, for users' and items' queries, and how long one query takes."""
    from bench import serve_recall as over

    make(world)
    profiles = over.opened(world)
    vectors_ID = over.all_vectors(profiles)
    queries = over.make_queries(profiles)
    for_users = over.ours(profiles, profiles.manifest.search_width or 0)
    mine = over.recall_of(over.ours(profiles), queries, vectors_ID, for_users)
    found: Figures = {f"ours_{name}": value for name, value in asdict(mine).items()}
    (segment,) = profiles.manifest.segments
    found["ours_file_mb"] = round(segment.index.file.size / 2**20, 1) if segment.index.file else 0
    found["ours_build_s"] = world.costs["index"]
    return found


def filters(world: World = SMALL) -> Figures:
    """Of our index where conditions leave a part of the items, and where they leave nothing near."""
    from bench.serve_filters import filtered
    from bench.serve_recall import make_queries, opened

    make(world)
    profiles = opened(world)
    return {**filtered(profiles, make_queries(profiles))}


def rivals(world: World) -> Figures:
    """Others' indexes over the same profiles, as wide as they must search for our recall."""
    from bench import serve_recall as over

    make(world)
    profiles = over.opened(world)
    vectors_ID, queries = over.all_vectors(profiles), over.make_queries(profiles)
    mine = _kept(f"recall_{world.size}")
    target = min(float(mine["ours_users"]), float(mine["ours_items"]))
    found: Figures = {}
    for name, build in {"usearch": over.usearch_i8, "faiss": over.faiss_hnsw}.items():
        if name == "faiss" and world == LARGE:
            continue  # float32 HNSW over a million profiles needs 4.4 GB beside the profiles, and long to fill
        rival = build(vectors_ID, queries, target, world.folder)
        found |= {f"{name}_{key}": value for key, value in asdict(rival.recall).items()}
        found |= {f"{name}_{key}": getattr(rival, key) for key in ("expansion", "build_s", "file_mb")}
    return found


def serve(world: World) -> Figures:
    """Ready, memory, latency at a fixed rate (medians of rounds), and the highest rate that is held."""
    make(world)
    folder = world.folder / "service"
    found: Figures = {}
    command = recsys_serve(world.store, folder, "--workers", str(WORKERS))
    with running(command, folder, WORKERS):
        pass  # what is remembered between two starts, such as checked files, is there from now on
    with running(command, folder, WORKERS) as service:
        found["ready_s"] = round(service.ready_s, 2)
        kinds = {"recommend": known_users(), "words": words_about(), "search": queries_of_titles()}
        for requests in kinds.values():
            closed_loop(service.url, requests, 2, 5, folder)
        for kind, requests in kinds.items():
            rounds = [open_loop(service.url, requests, RATE, SECONDS, folder) for _ in range(ROUNDS)]
            found |= {f"{kind}_{name}": value for name, value in _median(rounds).items()}
        found["max_rate"] = _max_rate(service, kinds["recommend"], folder)
        found["pss_mb"], found["private_mb"] = round(service.pss_mb()), round(service.private_mb())
    return found


def plain(world: World = SMALL) -> Figures:
    """Throughput of the plain endpoint and ours, a worker per core each, closed loop, alternating rounds.

    The plain endpoint runs with one worker too, whose threads use all cores; ratios are to whichever does better.
    Processor time per answer hardly depends on what else runs on this machine; answers per second do.
    """
    from bench.rivals import plain_endpoint

    make(world)
    folder = world.folder / "plain"
    if not (folder / "shown.json").exists():
        users = sorted({one.body["user"] for one in known_users()})
        plain_endpoint.export(
            world.store, users, KEY, folder, int(_kept(f"rivals_{world.size}")["faiss_expansion"])
        )
    commands = {
        "ours": recsys_serve(world.store, world.folder / "service", "--workers", str(WORKERS)),
        "plain": [
            sys.executable,
            "-m",
            "bench.rivals.plain_endpoint",
            str(folder),
            "--workers",
            str(WORKERS),
        ],
        "plain_alone": [sys.executable, "-m", "bench.rivals.plain_endpoint", str(folder)],
    }
    found: Figures = {}
    for kind, requests in {"recommend": known_users(), "search": queries_of_titles()}.items():
        rates: dict[str, list[float]] = {name: [] for name in commands}
        cpu_ms: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                at, n_own = (world.folder / "service", WORKERS) if name == "ours" else (folder, 1)
                with running(command, at, n_own) as service:
                    if name == "plain":
                        _all_answer(service.url, WORKERS)
                    closed_loop(service.url, requests, WORKERS * CLIENTS, 3, folder)
                    before_s = service.cpu_s()
                    load = closed_loop(service.url, requests, WORKERS * CLIENTS, SECONDS / 2, folder)
                    cpu_ms[name].append((service.cpu_s() - before_s) / load.n * 1000)
                if load.failed or load.refused:
                    raise RuntimeError(
                        f"{name} failed {load.failed + load.refused} of {load.n} requests for {kind}"
                    )
                rates[name].append(load.rate)
        found |= {f"{name}_{kind}_rate": round(float(np.median(values)), 1) for name, values in rates.items()}
        found |= {
            f"{name}_{kind}_cpu_ms": round(float(np.median(values)), 2) for name, values in cpu_ms.items()
        }
        best_rate = np.maximum(rates["plain"], rates["plain_alone"])
        least_ms = np.minimum(cpu_ms["plain"], cpu_ms["plain_alone"])
        found[f"plain_ratio_{kind}"] = round(float(np.median(rates["ours"] / best_rate)), 2)
        found[f"plain_cpu_ratio_{kind}"] = round(float(np.median(least_ms / cpu_ms["ours"])), 2)
    return found


def _all_answer(url: str, workers: int) -> None:
    """Wait until so many workers of the plain endpoint have answered: of many callers at once each gets some."""
    import httpx

    def answering(_: int) -> int:
        return int(httpx.get(f"{url}/readyz", timeout=60).json()["worker"])

    until = time.monotonic() + LONGEST_START_S
    with ThreadPoolExecutor(CALLERS_AT_START) as callers:
        while len(seen := set(callers.map(answering, range(4 * CALLERS_AT_START)))) < workers:
            if time.monotonic() > until:
                raise RuntimeError(f"{len(seen)} of {workers} workers of the plain endpoint answer")


def saturation(world: World = SMALL) -> Figures:
    """Searches at twice the rate that two workers answer: what they turn away, and how soon they answer the rest."""
    make(world)
    folder, requests = world.folder / "service", queries_of_titles()
    with running(recsys_serve(world.store, folder, "--workers", str(WORKERS)), folder, WORKERS) as service:
        closed_loop(service.url, requests, WORKERS * CLIENTS, 5, folder)
        before = closed_loop(service.url, requests, WORKERS * CLIENTS, SECONDS, folder)
        over = open_loop(service.url, requests, OVERLOAD * before.rate, SECONDS, folder, CALLERS)
        after = closed_loop(service.url, requests, WORKERS * CLIENTS, SECONDS / 2, folder)
    return {
        "saturation_rate_before": before.rate,
        "saturation_rate_asked": round(OVERLOAD * before.rate, 1),
        "saturation_rate": over.rate,
        "saturation_p50_ms": over.p50_ms,
        "saturation_p99_ms": over.p99_ms,
        "saturation_refused": over.refused,
        "saturation_refused_p99_ms": over.refused_p99_ms,
        "saturation_failed": before.failed + over.failed + after.failed + before.refused + after.refused,
        "saturation_rate_after": after.rate,
    }


def swaps() -> Figures:
    """Releases swapped under load."""
    from bench.serve_swaps import swap_releases

    return {**swap_releases(HOME / "swaps", N_SWAPS)}


def fuzz() -> Figures:
    """Requests that nobody should send, with feedback and keys on."""
    from bench.serve_fuzz import fuzz as fuzz_service

    make(SMALL)
    return {**fuzz_service(SMALL.store, HOME / "fuzz", N_EXAMPLES)}


def known_users() -> list[Request]:
    """Lists for users of CiteULike, in a random order."""
    users = np.array(sorted(set(papers()[1]["user_id"].to_pylist())), object)
    drawn = np.random.default_rng(1).choice(users, N_REQUESTS)
    return [Request("/v1/recommend", {"user": user, "k": K}) for user in drawn.tolist()]


def words_about() -> list[Request]:
    """Lists for people of whom nothing is known but words."""
    return [Request("/v1/recommend", {"text": one.body["query"], "k": K}) for one in queries_of_titles()]


def queries_of_titles() -> list[Request]:
    """Searches with a few words of a real title."""
    titles = papers()[0]["title"].to_pylist()
    rng = np.random.default_rng(2)
    found = []
    for title in rng.choice(np.array(titles, object), N_REQUESTS).tolist():
        some = title.split()
        start = int(rng.integers(max(1, len(some) - 3)))
        found.append(Request("/v1/search", {"query": " ".join(some[start : start + 4]), "k": K}))
    return found


def collected(steps: Sequence[str] | Mapping[str, object]) -> Figures:
    """The figures of all steps that are done, under the names that issue and docs use."""
    found: dict[str, Any] = {}
    for name in steps:
        kept = HOME / f"{name}.json"
        if kept.exists():
            found[name] = json.loads(kept.read_text())["figures"]
    figures: Figures = {}
    for world, suffix in ((SMALL, "100k"), (LARGE, "1m")):
        for kind in ("users", "items"):
            figures |= _renamed(
                found, f"recall_{world.size}", {f"ours_{kind}": f"recall_at_100_{kind}_{suffix}"}
            )
        recalls = [
            figures[f"recall_at_100_{kind}_{suffix}"]
            for kind in ("users", "items")
            if f"recall_at_100_{kind}_{suffix}" in figures
        ]
        figures |= {f"recall_at_100_{suffix}": min(recalls)} if recalls else {}
        figures |= _renamed(found, f"recall_{world.size}", {"ours_build_s": f"build_s_{suffix}"})
        names = {"recommend_p50_ms": "p50_ms", "recommend_p99_ms": "p99_ms", "search_p50_ms": "search_p50_ms",
                 "search_p99_ms": "search_p99_ms", "words_p50_ms": "words_p50_ms", "words_p99_ms": "words_p99_ms",
                 "recommend_failed": "recommend_failed", "search_failed": "search_failed",
                 "words_failed": "words_failed",
                 "max_rate": "max_rate", "pss_mb": "pss_mb", "ready_s": "ready_s"}  # fmt: skip
        figures |= _renamed(
            found, f"serve_{world.size}", {old: f"{new}_{suffix}" for old, new in names.items()}
        )
    for name in ("plain", "saturation", "swaps", "fuzz"):
        figures |= found.get(name, {})
    for name, keys in OTHERS.items():
        kept = ROOT / "var" / "bench" / f"{name}.json"
        if kept.exists():
            theirs = json.loads(kept.read_text())["figures"]
            figures |= {ours: theirs[key] for key, ours in keys.items()}
    return figures


def show(title: str, figures: Figures) -> None:
    """Print figures as a table."""
    table = Table("figure", "value", title=title)
    for name, value in figures.items():
        table.add_row(name, str(value))
    Console().print(table)


def _kept(step: str) -> Figures:
    """The figures of a step that is done."""
    found: Figures = json.loads((HOME / f"{step}.json").read_text())["figures"]
    return found


def _renamed(found: Mapping[str, Figures], step: str, names: Mapping[str, str]) -> Figures:
    return {new: found[step][old] for old, new in names.items() if old in found.get(step, {})}


def _median(rounds: Sequence[Load]) -> Figures:
    """Medians of the rounds; failures summed."""
    return {
        "p50_ms": float(np.median([one.p50_ms for one in rounds])),
        "p99_ms": float(np.median([one.p99_ms for one in rounds])),
        "failed": sum(one.failed + one.refused for one in rounds),
    }


def _max_rate(service: Service, requests: Sequence[Request], folder: Any) -> int:  # noqa: ANN401  a path
    """The highest of RATES at which nothing fails and p99 stays under LIMIT_MS."""
    held = 0
    for rate in RATES:
        load = open_loop(service.url, requests, rate, SECONDS / 2, folder)
        console.print(
            f"  {rate}/s: p50 {load.p50_ms} ms, p99 {load.p99_ms} ms, {load.failed + load.refused} failed"
        )
        if load.failed or load.refused or load.p99_ms > LIMIT_MS:
            break
        held = rate
    return held


if __name__ == "__main__":
    main()
