"""Who may see and do what, figures of several workers, and requests for other hosts."""

from pathlib import Path

import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from starlette.testclient import TestClient

from recsys.publishing.store import ReleaseStore
from recsys.serving.service.access import add_key, host_name, is_loopback
from recsys.serving.service.app import make_app
from recsys.serving.service.following import Follower
from recsys.serving.service.main import METRICS_FOLDER
from recsys.serving.service.metrics import Metrics
from recsys.serving.service.shared import Service
from recsys.settings import Settings
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import ROOT, FilmWorkspace
from tests.serving.service import served

PARAMS = Settings.load(ROOT / "params.yaml").serve
ADMIN = [("POST", "/v1/admin/follow"), ("GET", "/v1/admin/state")]


@pytest.fixture
def store(encoded_workspace: FilmWorkspace, folder: Storage) -> Storage:
    encoded_workspace.publish(folder)
    return folder


@pytest.mark.servers
def test_the_scope_admin_opens_the_routes_of_who_runs_the_service_and_no_other(
    store: Storage, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.json"
    admin, read = add_key(keys, "ops", ["admin"]), add_key(keys, "site", ["read", "feedback"])
    event = {"event_id": "1", "pseudonym": "0" * 32, "item_id": "alien", "event": "like"}

    def status(client: httpx.Client, method: str, path: str, key: str = "") -> int:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return client.request(method, path, headers=headers).status_code

    with served(store.url, tmp_path, "--keys", str(keys)) as client:
        for method, path in ADMIN:
            assert [status(client, method, path, key) for key in ("", read, admin)] == [401, 403, 200]
        headers = {"Authorization": f"Bearer {read}"}
        assert client.post("/v1/feedback", json={"events": [event]}, headers=headers).json()["n_new"] == 1
        assert status(client, "POST", "/v1/recommend", admin) == 403
        assert client.get("/version").json()["feedback_waiting"] is None
        assert client.get("/version", headers=headers).json()["feedback_waiting"] == 1
        host = {"Host": "shop.example"}  # with keys, the service may have any name
        assert client.get("/readyz", headers=host).status_code == 200


@pytest.mark.parametrize(
    ("header", "is_own"),
    [
        ("localhost", True),
        ("LOCALHOST:8700", True),
        ("127.0.0.1:8700", True),
        ("127.8.9.10", True),
        ("[::1]:8700", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example:8700", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("[::ffff:10.0.0.1]", False),
        ("", False),
    ],
)
def test_without_keys_no_other_host_is_answered(header: str, is_own: bool) -> None:
    assert is_loopback(host_name(header)) == is_own


def test_a_page_of_another_site_reads_nothing_from_a_service_without_keys(
    store: Storage, tmp_path: Path
) -> None:
    follower = Follower(ReleaseStore(store), tmp_path / "downloads", 5)
    with TestClient(make_app(Service(follower, PARAMS, None, None)), "http://localhost:8700") as client:
        assert client.get("/v1/similar/alien").status_code == 200
        for path in ("/v1/similar/alien", "/version", "/", "/metrics"):
            answer = client.get(path, headers={"Host": "evil.example"})
            assert answer.status_code == 421 and "evil.example" in answer.json()["detail"]


def test_a_file_that_a_worker_has_only_just_made_does_not_stop_the_figures(
    folder: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = MmapedDict(str(tmp_path / "counter_0.db"))  # type: ignore[no-untyped-call]
    key = mmap_key("calls", "calls_total", [], [], "Of a worker.")
    written.write_value(key, 3.0, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    (tmp_path / "counter_1.db").touch()
    (tmp_path / "gauge_livemin_2.db").symlink_to("removed between two looks at the folder")
    monkeypatch.setenv(METRICS_FOLDER, str(tmp_path))
    metrics = Metrics(Follower(ReleaseStore(folder), tmp_path / "downloads", 5))
    assert "calls_total 3.0" in metrics.page().decode().splitlines()


@pytest.mark.servers
def test_one_page_has_the_figures_of_all_workers_and_no_counter_falls(store: Storage, tmp_path: Path) -> None:
    counted = 'firstlight_request_seconds_count{route="/v1/similar/{item:path}",status="200"}'
    with served(store.url, tmp_path, "--workers", "2") as client:
        before = 0.0
        for n in range(1, 31):
            with httpx.Client(base_url=client.base_url) as other:  # its own connection: either worker answers
                assert other.get("/v1/similar/alien").status_code == 200
                lines = dict(line.rsplit(" ", 1) for line in other.get("/metrics").text.splitlines())
            assert before <= float(lines[counted]) <= n
            before = float(lines[counted])
        assert before == 30
        workers = [line for line in lines if line.startswith("firstlight_release_sequence{")]
        assert len(workers) == 2 and lines["firstlight_ready"] == "1.0"
        assert lines["firstlight_release_items"] == "10.0"
