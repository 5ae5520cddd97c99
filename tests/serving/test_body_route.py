"""Where an answer is computed: on the event loop, or in a thread where others would wait for it too long."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.serving.feedback import FeedbackStore
from recsys.serving.feedback_events import Event
from recsys.serving.service import request_schemas
from recsys.serving.service.at_once import AtOnce
from recsys.serving.service.feedback import Feedback
from recsys.serving.service.loading import Served
from recsys.serving.service.questions import questions
from recsys.serving.service.shared import Service
from recsys.settings import Settings, shipped_params
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FilmWorkspace
from tests.serving.test_recommender import of_release

LOOP, THREAD = threading.main_thread().name, "answer_0"


@pytest.fixture
def app(film_workspace: FilmWorkspace, folder: Storage, tmp_path: Path) -> Iterator[FastAPI]:
    """The routes that answer questions, with a release and a store of feedback."""
    recommender, settings = of_release(film_workspace, folder), Settings.load(shipped_params())
    store = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    feedback = Feedback(store, settings.feedback, settings.serve, None, None)
    served = Served(recommender, datetime.now(UTC))
    app = FastAPI()
    app.include_router(questions)
    follower = SimpleNamespace(served=served, trial=None, problem="")
    app.state.service = Service(follower, settings.serve, None, None, feedback)
    app.state.threads, app.state.at_once = ThreadPoolExecutor(1, "answer"), AtOnce()
    yield app
    app.state.threads.shutdown()
    store.close()


def ask_together(app: FastAPI, *bodies: dict[str, object]) -> list[list[str]]:
    """Ask for several lists at the same time."""

    async def asked() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await asyncio.gather(*(client.post("/v1/recommend", json=body) for body in bodies))

    answers = asyncio.run(asked())
    assert [one.status_code for one in answers] == [200] * len(bodies), [one.text for one in answers]
    return [[item["item_id"] for item in one.json()["items"]] for one in answers]


def test_a_list_is_computed_on_the_event_loop_only_if_little_is_known_of_its_user(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender, store = app.state.service.follower.served.recommender, app.state.service.feedback.store
    computed_by, compute = [], recommender.list_for

    def spied(*args: object) -> object:
        computed_by.append(threading.current_thread().name)
        return compute(*args)

    def ask(**body: object) -> list[str]:
        return ask_together(app, body)[0]

    monkeypatch.setattr(recommender, "list_for", spied)
    user, *_ = recommender.profiles.histories.users
    at_once = ask(pseudonym=user)
    with monkeypatch.context() as fewer:
        fewer.setattr(request_schemas, "QUICK", len(recommender.taste_of(user).likes) - 1)
        assert ask(pseudonym=user, k=1) == at_once[:1]
    stranger = Pseudonyms("a-key-for-tests-0123456789").of("zoe")
    liked = ask(pseudonym=stranger)[0]
    store.add([Event("1", stranger, liked, "like")])
    assert liked not in ask(pseudonym=stranger)
    assert ask(pseudonym=user) == at_once
    assert computed_by == [LOOP, THREAD, LOOP, THREAD, LOOP]


def test_lists_that_wait_for_their_turn_are_prepared_together_and_are_those_of_each_alone(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = app.state.service.follower.served.recommender
    prepared, searcher = [], recommender.profiles.searcher
    bodies = [{"history": [item]} for item in ("alien", "babe", "fargo", "heat")]
    alone = [ask_together(app, body)[0] for body in bodies]
    monkeypatch.setattr(searcher, "look_ahead", lambda queries_QD: prepared.append(len(queries_QD)))
    assert ask_together(app, *bodies) == alone
    assert len({*map(tuple, alone)}) == len(bodies)
    assert max(prepared) > 1 and sum(prepared) <= len(bodies)
