"""The service over HTTP, in a real process: answers, refusals, keys, limits, and releases swapped under load."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from recsys import Release
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.models.reference import ModelReference
from recsys.publishing.store import ReleaseStore, object_key
from recsys.serving.service.access import add_key
from recsys.serving.service.request_schemas import RecommendBody, SearchBody
from recsys.storage.folder import FolderStorage
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.conftest import filled
from tests.publishing.film_workspace import UP, FilmWorkspace
from tests.serving.service import KEY, served

pytestmark = pytest.mark.servers
ROUTES = [
    ("POST", "/v1/recommend", {"history": ["alien"]}),
    ("POST", "/v1/search", {"query": "a shark"}),
    ("POST", "/v1/profile", {"text": "A shark"}),
    ("POST", "/v1/explain", {"item": "jaws", "history": ["alien"]}),
    ("GET", "/v1/similar/alien", None),
]


@pytest.fixture(scope="module")
def films(
    packed: tuple[Path, ModelReference], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilmWorkspace]:
    """Ten films and four users, published by the real encoder; zoe's id was landed under the service's key."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RECSYS_CACHE", str(packed[0]))
        film_workspace = filled(FilmWorkspace(tmp_path_factory.mktemp("films"), packed[1]))
        film_workspace.ratings([(Pseudonyms(KEY).of("zoe"), "gravity")], day=1)
        film_workspace.build().publish(open_storage(str(film_workspace.at.root / "store")))
        yield film_workspace


@pytest.fixture(scope="module")
def client(films: FilmWorkspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(str(films.at.root / "store"), tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture
def release(films: FilmWorkspace) -> Release:
    return Release.open(films.at.root / "store")


def ask(client: httpx.Client, method: str, path: str, body: object, **headers: str) -> httpx.Response:
    return client.request(method, path, json=body, headers=headers)


def test_every_answer_is_that_of_the_python_door_and_names_its_release(
    client: httpx.Client, release: Release
) -> None:
    def pairs(answer: httpx.Response) -> list[tuple[str, float]]:
        assert answer.status_code == 200, answer.text
        assert answer.json()["release"] == release.id
        return [(one["item_id"], one["score"]) for one in answer.json()["items"]]

    def by(found: list) -> list[tuple[str, float]]:
        return [(one.item_id, float(one.score)) for one in found]

    body = {"history": ["alien", "jaws"], "k": 5}
    assert pairs(client.post("/v1/recommend", json=body)) == by(
        release.recommend(history=["alien", "jaws"], k=5)
    )
    assert pairs(client.post("/v1/recommend", json={"pseudonym": "ann", "k": 4})) == by(
        release.recommend(pseudonym="ann", k=4)
    )
    assert pairs(client.post("/v1/search", json={"query": "a shark", "k": 3})) == by(
        release.search("a shark", 3)
    )
    assert pairs(client.get("/v1/similar/alien?k=4")) == by(release.similar("alien", 4))
    assert client.get("/v1/similar/alien?k=0").status_code == 422
    assert client.get("/readyz").json() == {"status": "ready", "release": release.id}
    assert client.get("/version").json()["n_items"] == 10


def test_a_new_item_is_read_as_text_or_as_a_row(client: httpx.Client) -> None:
    row = {"row": {"title": "A shark in the sea", "colour": "blue"}, "k": 1}
    by_row, by_text = (
        client.post("/v1/profile", json=body).json() for body in (row, {"text": "A shark in the sea", "k": 1})
    )
    assert by_row["profile"] == by_text["profile"] and by_row["neighbours"][0]["item_id"] == "jaws"
    assert client.post("/v1/profile", json={"row": {"colour": "blue"}}).status_code == 422


def test_an_explanation_sums_to_the_score_of_the_list(client: httpx.Client) -> None:
    user = {"history": ["alien", "jaws"], "text": "farm animals"}
    best = client.post("/v1/recommend", json={**user, "k": 1}).json()["items"][0]
    why = client.post("/v1/explain", json={**user, "item": best["item_id"]}).json()
    total = sum(one["profile"] + one["ranker"] for one in why["contributions"]) + why["rest"]
    assert total == pytest.approx(best["score"], abs=1e-5) and len(why["contributions"]) == 3


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/v1/recommend", {"k": 0}, 422, "k"),
        ("/v1/recommend", {"k": 10**9}, 422, "serve.max_k"),
        ("/v1/recommend", {"kk": 3}, 422, "kk"),
        ("/v1/recommend", {"where": {"colour": "red"}}, 422, "colour"),
        ("/v1/recommend", {"history": "alien"}, 422, "history"),
        ("/v1/recommend", {"user": "a", "pseudonym": "b"}, 422, "not both"),
        ("/v1/recommend", {"text": "x" * 20001}, 422, "serve.max_text_chars"),
        ("/v1/recommend", {"history": ["a"] * 10001}, 422, "serve.max_ids"),
        ("/v1/explain", {"item": "nowhere", "history": ["alien"]}, 404, "nowhere"),
        ("/v1/explain", {"item": "alien"}, 422, "nothing that is known"),
        ("/v1/predict", {"history": ["alien"], "items": ["jaws"]}, 422, "its ranker has no event heads"),
        ("/v1/predict", {"history": ["alien"], "items": []}, 422, "items"),
        ("/v1/predict", {"history": ["alien"], "items": ["a"] * 10001}, 422, "serve.max_ids"),
        ("/v1/search", {"query": "  "}, 422, "empty"),
        ("/v1/profile", {}, 422, "text or row"),
        ("/v1/profile", {"row": {"title": "\ud800"}}, 422, "surrogate"),
        ("/v1/nothing", {}, 404, "nothing at /v1/nothing"),
        ("/v1/recommend", {"kk": 3}, 422, "kk: there is no such field"),
        ("/v1/recommend", {"diversity": float("nan")}, 422, "finite"),
        ("/v1/recommend", {"text": "\ud800"}, 422, "text: holds half"),
        ("/v1/recommend", [1], 422, "not a JSON object"),
        ("/v1/search", {}, 422, "query: is needed"),
        ("/v1/search", {"query": "\u0000"}, 422, "query: an empty text"),
        ("/v1/search", {"query": "\ud800"}, 422, "query: Input should be a valid string"),
        ("/v1/profile", {"row": {"colour": "blue"}}, 422, "row: an empty text"),
        ("/v1/profile", {"row": {"colour": "blue"}}, 422, "title, tags, description"),
        ("/v1/similar/alien", {}, 405, "does not take POST"),
    ],
)
def test_what_cannot_be_answered_is_refused_by_name(
    client: httpx.Client, path: str, body: object, status: int, word: str
) -> None:
    answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == status and word in answer.json()["detail"] + answer.json()["remedy"], (
        answer.text
    )
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["remedy"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "there is no body"),
        (b"k=3", "not JSON: Expecting value (character 0)"),
        (b'{"k": 1,}', "(character 8)"),
        (b"[" * 100_000, "nested too deep"),
        (b"\xff\xfe{}", "not JSON"),
    ],
)
def test_a_body_that_cannot_be_read_says_so_and_what_to_send(
    client: httpx.Client, content: bytes, word: str
) -> None:
    answer = client.post("/v1/recommend", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and word in answer.json()["detail"], answer.text
    assert "Content-Type: application/json" in answer.json()["remedy"]


def test_a_query_of_an_address_is_checked_like_a_body(client: httpx.Client) -> None:
    for query, word in (("kk=3", "kk: there is no such field"), ("k=x", "k: "), ("k=0", "k: ")):
        answer = client.get(f"/v1/similar/alien?{query}")
        assert answer.status_code == 422 and answer.json()["detail"].startswith(word), answer.text
    assert len(client.get("/v1/similar/alien?k=3").json()["items"]) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nope",
        b"[" * 100_000,
        b'{"k": NaN}',
        b'{"k": 1e999}',
        b"\xff\xfe{}",
        b"null",
        b'{"text": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"where": {"tags": [["\\ud800"]]}}',
        b'{"user": "\\u0000"}',
        b'{"user": " "}',
    ],
)
def test_a_body_that_is_no_request_is_refused(client: httpx.Client, content: bytes) -> None:
    answer = client.post("/v1/recommend", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert client.get("/healthz").status_code == 200


def test_a_body_beyond_its_bound_is_not_read(client: httpx.Client) -> None:
    answer = client.post("/v1/recommend", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413 and "serve.max_body_kb" in answer.json()["remedy"]


def test_a_raw_user_id_is_looked_up_under_the_key_of_intake(client: httpx.Client) -> None:
    zoe, ann, fan = (
        client.post("/v1/recommend", json={**whom, "k": 2}).json()
        for whom in ({"user": " zoe"}, {"user": "ann"}, {"history": ["gravity"]})
    )
    assert zoe["items"] == fan["items"] and zoe["basis"] == "profile"
    assert ann["basis"] == "popular"  # her row was written as it is, without a key


def test_searches_at_the_same_time_are_all_answered(client: httpx.Client) -> None:
    queries = [f"a shark in room {n}" for n in range(8)]

    def answer(query: str) -> object:
        found = client.post("/v1/search", json={"query": query, "k": 3})
        return (found.status_code, found.json().get("items"))

    alone = [answer(query) for query in queries]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(answer, queries * 5)) == alone * 5
    assert {status for status, _ in alone} == {200}


def test_the_document_and_the_page_are_there_and_lead_nowhere_else(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1") and set(document["paths"]) >= {"/v1/recommend", "/v1/search"}
    page = client.get("/")
    assert "Firstlight" in page.text and "default-src 'self'" in page.headers["content-security-policy"]
    for name in ("page.js", "style.css", "icon.svg"):
        assert client.get(f"/page/{name}").status_code == 200
    assert "http" not in page.text


def test_metrics_count_answers_and_name_the_release(client: httpx.Client) -> None:
    client.post("/v1/recommend", json={})
    page = client.get("/metrics").text
    assert 'firstlight_request_seconds_count{route="/v1/recommend",status="200"}' in page
    assert "firstlight_ready 1.0" in page and "firstlight_release_sequence 1.0" in page


def test_keys_open_what_their_scope_says(films: FilmWorkspace, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    read, feedback = (add_key(keys, name, [name]) for name in ("read", "feedback"))
    assert read not in keys.read_text()
    with served(str(films.at.root / "store"), tmp_path, "--keys", str(keys)) as client:
        for method, path, body in ROUTES:
            assert ask(client, method, path, body).status_code == 401
            assert ask(client, method, path, body, authorization="Bearer wrong").status_code == 401
            assert ask(client, method, path, body, authorization=f"Bearer {feedback}").status_code == 403
            assert ask(client, method, path, body, authorization=f"Bearer {read}").status_code == 200
        assert client.get("/healthz").status_code == 200


def test_without_keys_only_this_machine_may_ask(films: FilmWorkspace) -> None:
    command = [
        sys.executable,
        "-m",
        "recsys",
        "serve",
        "--host",
        "0.0.0.0",
        "--store",
        str(films.at.root / "store"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "API keys" in done.stderr and "api-key" in done.stderr


def test_too_many_requests_are_turned_away_at_once_and_the_rest_answered(
    films: FilmWorkspace, tmp_path: Path
) -> None:
    params = {"max_running": 1, "max_waiting": 2, "requests_per_minute": 0}
    store = str(films.at.root / "store")
    with served(store, tmp_path, params=params) as client, ThreadPoolExecutor(24) as pool:
        body = {"text": "a shark " * 200, "k": 10}
        answers = list(pool.map(lambda _: client.post("/v1/recommend", json=body), range(48)))
        found = {one.status_code for one in answers}
        assert found == {200, 503}
        assert all(one.headers["retry-after"] == "1" for one in answers if one.status_code == 503)
        assert client.post("/v1/recommend", json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "is_quick"),
    [
        ({"user": "ann"}, True),
        ({"history": ["50"] * 100, "k": 100, "exclude_seen": False}, True),
        ({"k": 101}, False),
        ({"history": ["50"] * 101}, False),
        ({"user": "ann", "text": "sharks"}, False),
        ({"user": "ann", "where": {"year": 1975}}, False),
        ({"user": "ann", "candidates": ["50"]}, False),
        ({"user": "ann", "diversity": 0.1}, False),
    ],
)
def test_only_lists_that_take_some_milliseconds_are_computed_on_the_event_loop(
    body: dict[str, object], is_quick: bool
) -> None:
    assert RecommendBody.model_validate(body).is_quick == is_quick
    assert not SearchBody.model_validate({"query": "sharks"}).is_quick


def test_quick_lists_that_come_at_once_are_turned_away_too_where_they_are_too_many(
    films: FilmWorkspace, tmp_path: Path
) -> None:
    body = b'{"history": ["alien"]}'
    asked = b"POST /v1/recommend HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    asked += b"content-length: %d\r\n\r\n%b" % (len(body), body)
    params = {"max_running": 1, "max_waiting": 2}
    with served(str(films.at.root / "store"), tmp_path, params=params) as client, ExitStack() as opened:
        at = (client.base_url.host, client.base_url.port or 0)
        callers = [opened.enter_context(socket.create_connection(at, timeout=60)) for _ in range(100)]
        (server,) = (one for one in psutil.Process().children() if str(at[1]) in one.cmdline())
        server.suspend()  # else it might answer each before the next is sent
        for one in callers:
            one.sendall(asked)
        server.resume()
        answers = [one.recv(1 << 16) for one in callers]
    found = {answer.split(b" ", 2)[1] for answer in answers}
    assert found == {b"200", b"503"}
    assert all(b"retry-after: 1\r\n" in one.lower() for one in answers if b" 503 " in one[:20])


def test_a_caller_that_asks_too_often_waits(films: FilmWorkspace, tmp_path: Path) -> None:
    with served(str(films.at.root / "store"), tmp_path, params={"requests_per_minute": 3}) as client:
        codes = [client.post("/v1/recommend", json={}).status_code for _ in range(5)]
        assert codes == [200, 200, 200, 429, 429] and client.get("/metrics").status_code == 200


@pytest.fixture
def changing(encoded_workspace: FilmWorkspace, tmp_path: Path) -> tuple[FilmWorkspace, Storage]:
    """A store of its own, with one release."""
    storage = open_storage(str(tmp_path / "changing"))
    encoded_workspace.publish(storage)
    return encoded_workspace, storage


@pytest.mark.whole
def test_releases_are_swapped_under_load_without_a_failure_or_a_mixed_answer(
    changing: tuple[FilmWorkspace, Storage], tmp_path: Path
) -> None:
    film_workspace, storage = changing
    answers: list[httpx.Response] = []
    over = threading.Event()

    def load(client: httpx.Client) -> None:
        while not over.is_set():
            answers.append(client.post("/v1/recommend", json={"history": ["alien", "jaws"], "k": 5}))

    with served(storage.url, tmp_path, "--workers", "2", params={"poll_s": 0.1}) as client:
        loading = [threading.Thread(target=load, args=(client,)) for _ in range(2)]
        for thread in loading:
            thread.start()
        published = [ReleaseStore(storage).current().current.release]
        for day in range(1, 5):
            film_workspace.items(
                {**UP, f"new {day}": f"A crew meets creature number {day} in space"}, day=day
            )
            published.append(film_workspace.build().publish(storage).release)
            until = time.monotonic() + 90
            while not any(one.json().get("release") == published[-1] for one in answers[-20:]):
                assert time.monotonic() < until, client.get("/version").text
                time.sleep(0.05)
        over.set()
        for thread in loading:
            thread.join()
    assert {one.status_code for one in answers} == {200}
    truth = {
        release: [
            (one.item_id, float(one.score))
            for one in Release.open(storage.url, release=release).recommend(history=["alien", "jaws"], k=5)
        ]
        for release in published
    }
    for answer in answers:
        found = [(one["item_id"], one["score"]) for one in answer.json()["items"]]
        assert found == truth[answer.json()["release"]]
    assert {one.json()["release"] for one in answers} == set(published)


def test_a_damaged_release_is_refused_and_the_one_before_goes_on(
    changing: tuple[FilmWorkspace, Storage], tmp_path: Path
) -> None:
    film_workspace, storage = changing
    assert isinstance(storage, FolderStorage)
    with served(storage.url, tmp_path, params={"poll_s": 0.1}) as client:
        first = client.get("/readyz").json()["release"]
        store = ReleaseStore(storage)
        before = store.current()
        film_workspace.items(UP, day=1)
        done = film_workspace.build().publish(open_storage(str(tmp_path / "elsewhere")))
        manifest = ReleaseStore(open_storage(str(tmp_path / "elsewhere"))).manifest(done.release)
        for file in manifest.files():
            storage.write(object_key(file), b"damaged" if file.name.endswith(".rows.parquet") else b"")
        store.write_manifest(manifest)
        store.swap(before, manifest.id, None, "test")
        until = time.monotonic() + 60
        while not client.get("/version").json()["problem"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert client.get("/version").json()["release"] == first
        assert client.post("/v1/similar/alien").status_code == 405
        assert client.post("/v1/recommend", json={"pseudonym": "ann"}).json()["release"] == first
        assert "firstlight_release_problem 1.0" in client.get("/metrics").text
        assert "release refused" in (tmp_path / "serve.log").read_text()


def test_feedback_changes_the_next_answer_survives_and_lands_once(
    changing: tuple[FilmWorkspace, Storage], tmp_path: Path
) -> None:
    _, storage = changing
    landing = tmp_path / "landing"
    landing.mkdir()
    ann = Pseudonyms(KEY).of("ann")
    event = {
        "event_id": "1",
        "user": "ann",
        "item_id": "gravity",
        "event": "like",
        "at": "2026-01-02T00:00:00Z",
    }

    def recommend(client: httpx.Client, **body: object) -> dict[str, object]:
        answer = client.post("/v1/recommend", json={"k": 10, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    with served(storage.url, tmp_path, params={"ship_s": 3600}) as client:
        assert recommend(client, user="ann")["basis"] == "popular"
        assert client.post("/v1/feedback", json={"events": [event]}).json() == {"n_new": 1, "n_known": 0}
        assert client.post("/v1/feedback", json={"events": [event, event]}).json() == {
            "n_new": 0,
            "n_known": 2,
        }
        liked = recommend(client, user="ann")
        assert liked["basis"] == "profile"
        assert recommend(client, user=" ann ")["items"] == liked["items"]  # as intake reads an id
        assert (
            liked["items"]
            == recommend(client, history=["gravity"])["items"]
            == recommend(client, pseudonym=ann)["items"]
        )
        why = client.post("/v1/explain", json={"user": "ann", "item": "alien"}).json()
        assert [one["source"] for one in why["contributions"]] == ["feedback"]
        other = client.post("/v1/feedback", json={"events": [event | {"item_id": "alien"}]})
        assert other.status_code == 409 and "'1'" in other.json()["detail"]
    with served(storage.url, tmp_path, params={"ship_s": 0.2}, landing=str(landing)) as client:
        assert recommend(client, user="ann")["items"] == liked["items"]
        until = time.monotonic() + 60
        while not (files := list(landing.glob("interactions/*.jsonl"))):
            assert time.monotonic() < until
            time.sleep(0.1)
        taken_back = {"event_id": "2", "user": "ann", "item_id": "gravity", "event": "unlike"}
        assert client.post("/v1/feedback", json={"events": [taken_back]}).status_code == 200
        assert recommend(client, user="ann")["basis"] == "popular"
        assert client.get("/version").json()["feedback_waiting"] == 2
    (line,) = files[0].read_text().splitlines()
    assert json.loads(line)["item_id"] == "gravity" and "ann" not in line.replace(ann, "")


@pytest.mark.parametrize(
    ("event", "word"),
    [
        ({"item_id": "alien", "event": "like"}, "of whom"),
        ({"user": "ann", "item_id": " ", "event": "like"}, "item_id"),
        ({"user": "ann", "item_id": "alien", "event": "two words and more"}, "event"),
        ({"user": "ann", "item_id": "alien", "event": "like", "at": "2026-01-02T00:00:00"}, "offset"),
        ({"pseudonym": "ann", "item_id": "alien", "event": "like"}, "pseudonym"),
        ({"user": "ann", "item_id": "alien", "event": "like", "release": "\0"}, "release"),
        ({"user": "ann", "item_id": "alien", "event": "like", "release": "\ud800"}, "release"),
    ],
)
def test_an_event_that_intake_would_not_take_is_refused_by_its_field(
    client: httpx.Client, event: dict[str, object], word: str
) -> None:
    body = json.dumps({"events": [{"event_id": "x", **event}]})
    answer = client.post("/v1/feedback", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422 and word in answer.json()["detail"], answer.text


def test_logs_are_json_and_name_no_user(
    client: httpx.Client, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client.post("/v1/recommend", json={"user": "somebody-secret", "text": "secret words"})
    logs = "".join(log.read_text() for log in tmp_path_factory.getbasetemp().glob("service*/serve.log"))
    lines = [json.loads(line) for line in logs.splitlines() if not line.startswith("the page: ")]
    assert any(line["message"] == "answered" and line["route"] == "/v1/recommend" for line in lines)
    assert "secret" not in logs
