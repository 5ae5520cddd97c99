"""Where an answer is computed: on the event loop, or in a thread where others would wait for it too long."""

import asyncio
import threading
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
from recsys.serving.service.feedback import Feedback
from recsys.serving.service.loading import Served
from recsys.serving.service.questions import questions
from recsys.serving.service.shared import Service
from recsys.settings import Settings, shipped_params
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FilmWorkspace
from tests.serving.test_recommender import of_release

LOOP, THREAD = threading.main_thread().name, "answer_0"


def test_a_list_is_computed_on_the_event_loop_only_if_little_is_known_of_its_user(
    film_workspace: FilmWorkspace, folder: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender, settings = of_release(film_workspace, folder), Settings.load(shipped_params())
    store = FeedbackStore.open(f"sqlite:///{tmp_path / 'feedback.db'}")
    feedback = Feedback(store, settings.feedback, settings.serve, None, None)
    served = Served(recommender, datetime.now(UTC))
    app, computed_by, compute = FastAPI(), [], recommender.recommend
    app.include_router(questions)
    follower = SimpleNamespace(served=served, trial=None, problem="")
    app.state.service = Service(follower, settings.serve, None, None, feedback)
    app.state.threads, app.state.at_once = ThreadPoolExecutor(1, "answer"), asyncio.Lock()

    def spied(*args: object) -> object:
        computed_by.append(threading.current_thread().name)
        return compute(*args)

    def ask(**body: object) -> list[str]:
        async def asked() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://here"
            ) as client:
                return await client.post("/v1/recommend", json=body)

        answer = asyncio.run(asked())
        assert answer.status_code == 200, answer.text
        return [one["item_id"] for one in answer.json()["items"]]

    monkeypatch.setattr(recommender, "recommend", spied)
    user, *_ = recommender.profiles.histories.users
    at_once = ask(pseudonym=user)
    monkeypatch.setattr(request_schemas, "QUICK", len(recommender.taste_of(user).likes) - 1)
    assert ask(pseudonym=user, k=1) == at_once[:1]
    monkeypatch.undo()
    monkeypatch.setattr(recommender, "recommend", spied)
    stranger = Pseudonyms("a-key-for-tests-0123456789").of("zoe")
    liked = ask(pseudonym=stranger)[0]
    store.add([Event("1", stranger, liked, "like")])
    assert liked not in ask(pseudonym=stranger)
    assert ask(pseudonym=user) == at_once
    assert computed_by == [LOOP, THREAD, LOOP, THREAD, LOOP]
    app.state.threads.shutdown()
    store.close()
