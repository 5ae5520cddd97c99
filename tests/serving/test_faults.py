"""What the service does when something in it fails, or a client leaves: it says so, counts it, and goes on."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from recsys.errors import ConfigError, RecsysError, StorageError
from recsys.publishing.store import ReleaseStore
from recsys.serving.recommender import Recommender
from recsys.serving.service.admission import ARRIVED, Admission
from recsys.serving.service.app import make_app
from recsys.serving.service.following import Follower
from recsys.serving.service.shared import Service
from recsys.settings import Settings
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import ROOT, UP, FilmWorkspace

PARAMS = Settings.load(ROOT / "params.yaml").serve


@pytest.fixture
def follower(encoded_workspace: FilmWorkspace, folder: Storage, tmp_path: Path) -> Follower:
    encoded_workspace.publish(folder)
    return Follower(ReleaseStore(folder), tmp_path / "downloads", 0.05)


@pytest.fixture
def client(follower: Follower) -> Iterator[TestClient]:
    app = make_app(Service(follower, PARAMS, None, None))
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as found:
        yield found


def test_a_fault_is_answered_as_a_problem_and_counted(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recommender, "similar", lambda *_: 1 / 0)
    answer = client.get("/v1/similar/alien")
    assert answer.status_code == 500 and answer.headers["content-type"] == "application/problem+json"
    counted = 'firstlight_request_seconds_count{route="/v1/similar/{item:path}",status="500"} 1.0'
    assert counted in client.get("/metrics").text


@pytest.mark.parametrize("kind", [StorageError, ConfigError])
def test_what_the_service_lacks_is_no_fault_of_the_caller_and_says_when_to_ask_again(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, kind: type[RecsysError]
) -> None:
    def unreachable(*_: object) -> None:
        raise kind("the disk is gone", remedy="bring it back")

    monkeypatch.setattr(Recommender, "similar", unreachable)
    answer = client.get("/v1/similar/alien")
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


def test_releases_are_followed_though_no_users_could_be_sampled(
    encoded_workspace: FilmWorkspace, folder: Storage, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recommender, "sample_users", lambda _: 1 / 0)
    follower.look()
    follower.start()
    encoded_workspace.items(UP, day=1)
    newer = encoded_workspace.build().publish(folder).release
    for _ in range(200):
        if follower.served is not None and follower.served.release == newer:
            break
        asyncio.run(asyncio.sleep(0.05))
    follower.stop()
    assert follower.served is not None and follower.served.release == newer


def test_releases_are_followed_though_a_figure_could_not_be_written(follower: Follower) -> None:
    follower.after_look = lambda: 1 / 0
    assert follower.look() and follower.served is not None and not follower.problem


def test_a_release_that_cannot_be_loaded_is_fetched_ever_more_seldom_and_the_next_one_at_once(
    encoded_workspace: FilmWorkspace, folder: Storage, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    def fail(recommender: Recommender) -> None:
        attempts.append(recommender.manifest.id)
        raise StorageError("a file is gone", remedy="bring it back")

    with monkeypatch.context() as broken:
        broken.setattr(Recommender, "warm", fail)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            follower.look()
            time.sleep(0.01)
        assert 2 <= len(attempts) <= 8 and "a file is gone" in follower.problem
    encoded_workspace.items(UP, day=1)
    newer = encoded_workspace.build().publish(folder).release
    assert follower.look() and follower.served is not None and follower.served.release == newer
    assert not follower.problem


def inside(messages: list[Message]) -> list[Scope]:
    """Scopes that reach what is behind Admission, where a client sends these messages."""
    reached: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope)

    async def receive() -> Message:
        return messages.pop(0)

    async def send(_: Message) -> None:
        raise AssertionError("nobody is there to be answered")

    counter = Counter("turned_away", "", ["status"], registry=CollectorRegistry())
    scope = {"type": "http", "path": "/v1/recommend"}
    asyncio.run(Admission(app, PARAMS, counter)(scope, receive, send))
    return reached


def test_a_client_that_leaves_before_its_body_is_there_takes_no_turn() -> None:
    half = {"type": "http.request", "body": b"{", "more_body": True}
    assert inside([half, {"type": "http.disconnect"}]) == []


def test_the_time_of_an_answer_begins_when_its_request_is_there() -> None:
    (scope,) = inside([{"type": "http.request", "body": b"{}", "more_body": False}])
    assert scope["state"][ARRIVED] > 0
