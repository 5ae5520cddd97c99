"""`recsys watch`: the verdict on a page, in metrics and in `status`; one signed alert for what is new; a training."""

import hashlib
import hmac
import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from recsys.effects.status import status
from recsys.effects.wake_training import wake_training
from recsys.effects.watch import watch
from recsys.errors import StorageError
from recsys.monitoring.params import MonitorParams
from recsys.monitoring.releases import ReleaseFacts, watch_releases
from recsys.publishing.store import ReleaseStore, manifest_key
from recsys.stages import stage
from recsys.storage.opening import open_storage
from tests.publishing.film_workspace import FilmWorkspace, tiny_model
from tests.stages.test_monitor import SMALL, german, plots

pytestmark = pytest.mark.whole

KEY = "k" * 32
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def receiver(monkeypatch):
    """A real receiver of alerts; answers the list of (headers, body) so far."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            received.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("RECSYS_ALERT_URL", f"http://127.0.0.1:{server.server_port}/hook")
    monkeypatch.setenv("RECSYS_ALERT_KEY", KEY)
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


def small_films(folder):
    """A workspace with a monitor that learns from few arrivals."""
    films = FilmWorkspace(folder / "workspace", tiny_model(folder / "workspace/var/cache/encoders"))
    changes = SMALL | {"metrics_file": "var/firstlight.prom", "train_on": ("language",)}
    films.settings = films.settings.model_copy(
        update={"monitor": films.settings.monitor.model_copy(update=changes)}
    )
    return films


@pytest.fixture
def house(tmp_path):
    return small_films(tmp_path)


@pytest.fixture(scope="module")
def ten_arrivals(tmp_path_factory):
    """A folder with a workspace and a store: ten ordinary arrivals, each published."""
    folder = tmp_path_factory.mktemp("ten-arrivals")
    films, storage = small_films(folder), open_storage(str(folder / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RECSYS_CACHE", raising=False)
        for day in range(10):
            films.items(plots(day), day)
            films.build()
            films.publish(storage)
    return folder


@pytest.fixture
def store(tmp_path, house, ten_arrivals):
    """The store after ten ordinary arrivals, which `house` has published."""
    shutil.copytree(ten_arrivals, tmp_path, dirs_exist_ok=True)
    return open_storage(str(tmp_path / "store"))


def look(films, storage, **options):
    judge = partial(stage("monitor"), films.settings, films.at)
    return watch(films.at, films.settings.monitor, storage, judge, **options)


def test_ordinary_arrivals_send_nothing_and_a_second_look_finds_nothing_new(house, store, receiver):
    report = look(house, store)
    assert [table.table for table in report.tables] == ["catalogue", "interactions", "releases"]
    assert [table.n_arrivals for table in report.tables] == [10, 0, 10]
    assert look(house, store, if_new=True) is None
    assert receiver == [] and wake_training(house.at) == ()
    page = (house.at.watch / "page.html").read_text()
    assert "Nothing unusual" in page and "https://" not in page.replace("http://www.w3.org", "")
    assert status(house.at, None, None)["watched"]["catalogue"].endswith("is ordinary")


def test_a_moved_language_is_one_signed_alert_a_page_metrics_and_one_training(house, store, receiver):
    look(house, store)
    house.items(german(20), 20)
    house.build()
    look(house, store, if_new=True)
    ((headers, body),) = receiver
    signature = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Firstlight-Signature"] == f"sha256={signature}"
    alert = json.loads(body)
    assert (alert["event"], alert["table"], alert["rows"]) == ("drift", "catalogue", 24)
    language = next(one for one in alert["alarms"] if one["signal"] == "language")
    assert {"de", "en"} <= {row["name"] for row in language["moved"]} and language["rows"]
    assert language["reading"]["value"] > language["reading"]["upper"]
    page = (house.at.watch / "page.html").read_text()
    assert "Something changed" in page and "Fischer" in page
    lines = (house.at.root / "var/firstlight.prom").read_text().splitlines()
    assert 'firstlight_watch_alarm{table="catalogue",signal="language"} 1' in lines
    assert 'firstlight_watch_alarm{table="catalogue",signal="tags"} 0' in lines
    assert "languages" in status(house.at, None, None)["watched"]["catalogue"]
    (call,) = wake_training(house.at, "run 1")
    assert call.endswith(" language")
    assert wake_training(house.at, "run 1") == (call,)  # it was killed before Airflow heard
    assert wake_training(house.at, "run 2") == wake_training(house.at) == ()
    look(house, store)
    assert len(receiver) == 1


def test_what_could_not_be_sent_is_sent_by_the_next_look(house, store, receiver, monkeypatch):
    look(house, store)
    house.items(german(20), 20)
    house.build()
    with monkeypatch.context() as down, pytest.raises(StorageError, match="could not be sent"):
        down.setenv("RECSYS_ALERT_URL", "http://127.0.0.1:9/")
        look(house, store, if_new=True)
    assert wake_training(house.at) == ()
    look(house, store, if_new=True)
    assert len(receiver) == 1 and len(wake_training(house.at)) == 1


def test_before_anything_is_walked_there_is_nothing_to_look_at(house, tmp_path):
    assert look(house, open_storage(str(tmp_path / "store"))) is None
    assert status(house.at, None, None)["watched"] == {}


def test_manifests_of_releases_that_were_seen_are_not_read_again(house, store, monkeypatch):
    look(house, store)
    house.items(plots(11), 11)
    house.build()
    newest = house.publish(store).release
    read = []
    manifest = ReleaseStore.manifest
    monkeypatch.setattr(
        ReleaseStore, "manifest", lambda store, release: read.append(release) or manifest(store, release)
    )
    look(house, store)
    assert len(read) == 2 and read[0] == newest  # its parts, and those of its parent


def test_releases_that_were_collected_meanwhile_are_still_compared_with(house, store):
    look(house, store)
    releases_of = ReleaseStore(store).release_ids
    old = sorted(releases_of())[:8]
    for one in old:
        store.delete(manifest_key(one))
    releases = look(house, store).tables[-1]
    assert [one.name for one in releases.judged] == sorted([*old, *releases_of()])[-8:]
    assert releases.n_arrivals == 10 and not releases.judged[-1].is_learning
    assert "age" in releases.judged[-1].readings


def test_a_release_whose_parent_was_collected_before_the_first_look_has_no_age(house, store):
    for one in sorted(ReleaseStore(store).release_ids())[:4]:
        store.delete(manifest_key(one))
    assert look(house, store).tables[-1].n_arrivals == 6
    facts = json.loads((house.at.watch / "releases.json").read_bytes())
    assert [bool(one["ages_s"]) for one in facts] == [False] + [True] * 5


def release(number, *, recall=0.97, age=200.0, early=0):
    return ReleaseFacts(
        release=f"{number:06d}-0123456789",
        parent=None,
        written_at=NOON + timedelta(hours=number),
        index_recall=recall,
        ages_s=() if early else (age,),
        n_early=early,
    )


@pytest.fixture
def params(house):
    return MonitorParams.model_validate(house.settings.monitor.model_dump())


def signals(table):
    return {alarm.signal for alarm in table.alarms}


def test_a_recall_that_falls_and_a_release_that_is_late_alarm(params):
    usual = [release(n, recall=0.97 + 0.001 * (n % 3), age=200 + 40 * (n % 4)) for n in range(12)]
    assert signals(watch_releases(usual, params)) == set()
    assert signals(watch_releases([*usual, release(12, recall=0.90)], params)) == {"index_recall"}
    assert signals(watch_releases([*usual, release(12, age=90_000)], params)) == {"age"}
    assert signals(watch_releases([*usual, release(12, recall=1.0, age=5)], params)) == set()


def test_a_clock_that_is_wrong_is_a_note_and_no_age(params):
    table = watch_releases([release(n, early=n == 11) for n in range(12)], params)
    assert table.notes == ("1 landed files are younger than the release that holds them: check the clocks",)
    assert "age" not in table.judged[-1].readings and signals(table) == set()
