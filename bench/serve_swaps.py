"""Releases swapped under load: does an answer fail, or mix two releases?

A small workspace with a real encoder publishes one arrival after another, all the product's way, while two workers
answer lists, searches and neighbours. Afterwards every answer is computed again from the release that it names: it
must hold the same items with the same scores.
"""

import json
import shutil
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx
from rich.progress import track

from bench.serve_service import recsys_serve, running
from bench.small_workspace import KEY, SmallWorkspace, catalogue, interactions, save_model, words
from recsys import Release
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.publishing.store import ReleaseStore
from recsys.storage.opening import open_storage

FIRST_ITEMS, NEW_ITEMS, USERS = 40, 6, 12
CLIENTS = 3
LONGEST_SWAP_S = 60
K = 5


@dataclass(frozen=True)
class Answer:
    """One answer, and the question."""

    question: tuple[str, str]
    """recommend and a user, similar and an item, or search and a query."""
    status: int
    release: str
    found: tuple[tuple[str, float], ...]


def swap_releases(home: Path, n_swaps: int) -> dict[str, int]:
    """Publish releases one after another under load, then check every answer.

    Args:
        home: scratch folder; emptied.
        n_swaps: releases after the first.

    Returns:
        `swaps`, `swap_answers`, `swap_failures`, `mixed_answers`.
    """
    home = home.resolve()  # the service has a working folder of its own
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    small = SmallWorkspace(home / "workspace", str(home / "landing"), str(home / "store"))
    model = save_model(home / "model")

    # In a process of its own, spawned: one that was forked beside running clients could inherit a lock that is held.
    publisher = ProcessPoolExecutor(1, get_context("spawn"))
    publisher.submit(_publish_first, small, model).result()
    store, over = ReleaseStore(open_storage(small.store)), threading.Event()
    answers: list[Answer] = []
    folder = home / "service"
    command = recsys_serve(small.store, folder, "--workers", "2", params={"poll_s": "0.1"})
    with running(command, folder, workers=2) as service:
        clients = [
            threading.Thread(target=_send_on, args=(service.url, number, answers, over))
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        for number in track(range(1, n_swaps + 1), "swapping releases", transient=True):
            publisher.submit(_arrive, small, number).result()
            _wait(answers, store.current().current.release)
        stopped = sum(not client.is_alive() for client in clients)
        over.set()
        for client in clients:
            client.join()
    publisher.shutdown()
    if stopped:
        raise RuntimeError(
            f"{stopped} of {CLIENTS} clients stopped before the end; their tracebacks are above"
        )
    return {
        "swaps": len({one.release for one in answers if one.status == 200}) - 1,
        "swap_answers": len(answers),
        "swap_failures": sum(one.status != 200 for one in answers),
        "mixed_answers": _mixed(answers, small.store, home / "cache"),
    }


def _publish_first(small: SmallWorkspace, model: Path) -> None:
    small.prepare(model, small.root / "var" / "cache")
    small.land_first()
    small.run()


def _arrive(small: SmallWorkspace, number: int) -> None:
    """A few new items and interactions, from landed file to swapped pointer."""
    start = FIRST_ITEMS + NEW_ITEMS * (number - 1)
    small.land("catalogue", f"{number:03d}.jsonl", catalogue(range(start, start + NEW_ITEMS), number), number)
    users = range(number % USERS, number % USERS + 2)
    small.land("interactions", f"{number:03d}.jsonl", interactions(users, start, number), number)
    small.run()


def _send_on(url: str, seed: int, answers: list[Answer], over: threading.Event) -> None:
    """One question after another: a known user, an item, words."""
    number = seed
    with httpx.Client(base_url=url, timeout=30) as client:
        while not over.is_set():
            user, item, query = f"u{number % USERS}", f"i{number % FIRST_ITEMS}", words(number % 50, 2)
            kind = ("recommend", "similar", "search")[number % 3]
            number += CLIENTS + 1
            try:
                if kind == "recommend":
                    found = client.post("/v1/recommend", json={"pseudonym": Pseudonyms(KEY).of(user), "k": K})
                    question = (kind, user)
                elif kind == "similar":
                    found, question = client.get(f"/v1/similar/{item}", params={"k": K}), (kind, item)
                else:
                    found, question = client.post("/v1/search", json={"query": query, "k": K}), (kind, query)
            except httpx.TransportError:
                answers.append(Answer((kind, ""), 0, "", ()))
                continue
            if found.status_code == 200:
                body = found.json()
                answers.append(Answer(question, 200, body["release"], _pairs(body)))
            elif kind != "similar" or found.status_code != 404:  # 404: the release does not have the item yet
                answers.append(Answer(question, found.status_code, "", ()))


def _pairs(body: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    return tuple((one["item_id"], one["score"]) for one in body.get("items", ()))


def _wait(answers: list[Answer], release: str) -> None:
    """Until answers come from a release."""
    until = time.monotonic() + LONGEST_SWAP_S
    while not any(one.release == release for one in answers[-20:]):
        if time.monotonic() > until:
            raise RuntimeError(f"no answer came from release {release} within {LONGEST_SWAP_S} s")
        time.sleep(0.02)


def _mixed(answers: list[Answer], store: str, cache: Path) -> int:
    """How many answers are not what their release gives."""
    truths: dict[tuple[str, tuple[str, str]], tuple[tuple[str, float], ...]] = {}
    opened: dict[str, Release] = {}
    mixed = 0
    for one in answers:
        if one.status != 200:
            continue
        if one.release not in opened:
            opened[one.release] = Release.open(store, release=one.release, cache=cache)
        key = (one.release, one.question)
        if key not in truths:
            truths[key] = _truth(opened[one.release], *one.question)
        mixed += json.dumps(truths[key]) != json.dumps(one.found)
    return mixed


def _truth(release: Release, kind: str, what: str) -> tuple[tuple[str, float], ...]:
    if kind == "recommend":
        pseudonym = Pseudonyms(KEY).of(what)
        found = release.recommend(pseudonym=pseudonym, k=K)
    else:
        found = release.similar(what, k=K) if kind == "similar" else release.search(what, k=K)
    return tuple((one.item_id, float(one.score)) for one in found)
