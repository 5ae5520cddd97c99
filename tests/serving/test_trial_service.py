"""Two releases beside each other over HTTP: who gets which, what is counted, and what happens when one is gone."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.cli import main
from recsys.effects.rollback import rollback
from recsys.publishing.store import ReleaseStore, manifest_key
from recsys.serving.feedback import FeedbackStore
from recsys.serving.trials import is_in_trial
from recsys.storage.opening import open_storage
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import ROOT, UP, FilmWorkspace
from tests.serving.service import KEY, served

pytestmark = pytest.mark.servers
USERS = [f"user {n}" for n in range(160)]
SHARE = 0.5


@pytest.fixture
def two(encoded_workspace: FilmWorkspace, tmp_path: Path) -> tuple[Storage, str, str]:
    """A store whose second release waits behind a hold: store, current release, the other one."""
    storage = open_storage(str(tmp_path / "two"))
    old = encoded_workspace.publish(storage).release
    encoded_workspace.items(UP, day=1)
    new = encoded_workspace.build().publish(storage).release
    rollback(storage, old, "to try the next one on some users", "tests")
    return storage, old, new


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.1)


def is_tried(user: str, release: str) -> bool:
    return is_in_trial(Pseudonyms(KEY).of(user), release, SHARE)


def release_of(client: httpx.Client, **body: object) -> str:
    answer = client.post("/v1/recommend", json={"k": 3, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()["release"]


def compared(storage: Storage, folder: Path, *releases: str) -> dict:
    command = [sys.executable, "-m", "recsys", "compare", *releases, "--store", storage.url, "--json"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"RECSYS_WORKSPACE": str(folder)},
    )
    assert done.returncode == 0, done.stderr
    assert "always-valid 95% interval" in done.stderr
    return json.loads(done.stdout)


def test_compare_and_forget_make_no_store_at_a_mistyped_address(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    path = tmp_path / "no such folder" / "feedback.sqlite"
    setting = {"RECSYS_WORKSPACE": str(tmp_path), "RECSYS_STORE": str(tmp_path), "RECSYS_PSEUDONYM_KEY": KEY}
    options = ["--feedback", f"sqlite:///{path}"]
    for command in (["compare", *options], ["forget", "ann", *options]):
        done = CliRunner(env=setting | {"RECSYS_LANDING": str(tmp_path / "landing")}).invoke(main, command)
        assert done.exit_code != 0 and not path.parent.exists(), done.output
        assert "there is no feedback store" in " ".join(done.output.split())


def test_each_group_gets_its_release_and_compare_tells_them_apart(
    two: tuple[Storage, str, str], tmp_path: Path
) -> None:
    storage, old, new = two
    options = ("--workers", "2", "--share", str(SHARE), "--share-release", new)
    tried = [user for user in USERS if is_tried(user, new)]
    assert 60 <= len(tried) <= 100
    with served(storage.url, tmp_path, *options) as client:
        for user in USERS * 2:
            assert release_of(client, user=user) == (new if user in tried else old)
        pseudonym = Pseudonyms(KEY).of(tried[0])
        assert release_of(client, pseudonym=pseudonym) == new
        assert release_of(client) == release_of(client, history=["alien"]) == old
        assert client.get("/v1/similar/alien").json()["release"] == old
        explained = {"user": tried[0], "item": "alien", "history": ["jaws"]}
        assert client.post("/v1/explain", json=explained).json()["release"] == new
        assert client.post("/v1/search", json={"user": tried[0], "query": "a shark"}).json()["release"] == new
        clicks = [
            {"event_id": f"{n}", "user": user, "item_id": "alien", "event": "click"}
            for n, user in enumerate(tried)
        ]
        for _ in range(2):
            assert client.post("/v1/feedback", json={"events": clicks}).status_code == 200
        ready = client.get("/readyz").json()
        assert ready["release"] == old
        assert ready["trial"] == {"release": new, "share": SHARE, "serves": True, "problem": ""}
        page = client.get("/metrics").text
        assert f"firstlight_trial_share {SHARE}" in page and "firstlight_trial_problem 0.0" in page
        assert f'firstlight_trial_lists_total{{group="trial"}} {2 * len(tried) + 1}.0' in page
    events = FeedbackStore.open(f"sqlite:///{tmp_path}/feedback.sqlite").of(pseudonym)
    assert [event.release for event in events] == [new]
    found = compared(storage, tmp_path)
    others = len(USERS) - len(tried)
    assert found["trial"] == found["b"]["release"] == new and found["a"]["release"] is None
    assert (found["a"]["n_users"], found["a"]["n_lists"], found["a"]["n_clicks"]) == (others, 2 * others, 0)
    assert (found["b"]["n_users"], found["b"]["n_lists"]) == (len(tried), 2 * len(tried) + 1)
    assert found["b"]["n_clicks"] == len(tried) and found["b"]["n_items"] == 3 * found["b"]["n_lists"]
    assert found["low"] > 0 and found["verdict"] == "B is clicked on more"
    turned = compared(storage, tmp_path, new, old)
    assert turned["difference"] == pytest.approx(-found["difference"]) and turned["a"]["release"] == new


def test_where_the_other_release_is_gone_the_current_one_serves_everybody_and_says_so(
    two: tuple[Storage, str, str], tmp_path: Path
) -> None:
    storage, old, new = two
    user = next(user for user in USERS if is_tried(user, new))
    options = ("--share", str(SHARE), "--share-release", new)
    with served(storage.url, tmp_path, *options, params={"poll_s": 0.1}) as client:
        assert release_of(client, user=user) == new
        storage.delete(manifest_key(new))
        wait_for(lambda: bool(client.get("/readyz").json()["trial"]["problem"]))
        ready = client.get("/readyz").json()
        assert new in ready["trial"]["problem"] and not ready["trial"]["serves"]
        assert release_of(client, user=user) == old
        page = client.get("/metrics").text
        assert "firstlight_trial_share 0.0" in page and "firstlight_trial_problem 1.0" in page
        assert client.get("/version").json()["trial"]["problem"] == ready["trial"]["problem"]
    assert "trial refused" in (tmp_path / "serve.log").read_text()


def test_a_release_that_is_not_there_does_not_keep_the_service_from_starting(
    two: tuple[Storage, str, str], tmp_path: Path
) -> None:
    storage, old, _ = two
    unknown = "000009-0123456789"
    with served(storage.url, tmp_path, "--share", "1", "--share-release", unknown) as client:
        assert release_of(client, user="ann") == old
        assert unknown in client.get("/readyz").json()["trial"]["problem"]


def test_the_trial_is_over_once_its_release_is_the_current_one(
    two: tuple[Storage, str, str], tmp_path: Path
) -> None:
    storage, old, new = two
    untried = next(user for user in USERS if not is_tried(user, new))
    options = ("--share", str(SHARE), "--share-release", new)
    with served(storage.url, tmp_path, *options, params={"poll_s": 600}) as client:
        assert release_of(client, user=untried) == old
        store = ReleaseStore(storage)
        store.swap(store.current(), new, None, "tests")
        followed = client.post("/v1/admin/follow").json()  # the webhook: nobody waits ten minutes
        assert followed["release"] == new and followed["swaps"] == 2
        assert followed["trial"] == {"release": new, "share": SHARE, "serves": False, "problem": ""}
        assert release_of(client, user=untried) == new
        assert client.get("/v1/admin/state").json() == followed
        store.swap(store.current(), old, None, "tests")  # such as a rollback
        back = client.post("/v1/admin/follow").json()
        assert back["release"] == old and back["trial"]["serves"] is False
        assert {release_of(client, user=user) for user in USERS} == {old}


@pytest.mark.parametrize(
    "options", [("--share", "0.1"), ("--share", "0.1", "--share-release", "newest"), ("--share", "2")]
)
def test_a_share_of_nothing_is_refused_before_the_start(options: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "recsys", "serve", "--store", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "share" in done.stderr
