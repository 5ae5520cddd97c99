import hashlib
import hmac
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

KEY = "a key that signs"


@pytest.fixture
def alerts(plugin):
    return plugin("alerts")


@pytest.fixture
def receiver(monkeypatch):
    """A real HTTP server; yields the list of (headers, body) that it got."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("RECSYS_ALERT_URL", f"http://127.0.0.1:{server.server_port}/alerts")
    monkeypatch.setenv("RECSYS_ALERT_KEY", KEY)
    yield got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def workspace_of_the_test(monkeypatch, tmp_path):
    monkeypatch.setenv("RECSYS_WORKSPACE", str(tmp_path))


def failed(task_id="arrive", exception=None):
    """Airflow's context, as far as a callback needs it."""
    task = SimpleNamespace(
        dag_id="profile_arrivals", task_id=task_id, run_id="run-1", try_number=3, log_url="http://airflow/log"
    )
    return {"ti": task, "exception": exception}


def test_one_signed_post_names_dag_task_run_try_and_remedy(alerts, receiver):
    alerts.alert_failure(failed(exception=RuntimeError("exit code 1")))
    ((headers, body),) = receiver
    signature = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Firstlight-Signature"] == f"sha256={signature}"
    alert = json.loads(body)
    assert (alert["dag"], alert["task"], alert["run"], alert["try"]) == (
        "profile_arrivals",
        "arrive",
        "run-1",
        3,
    )
    assert alert["error"] == "exit code 1"
    assert "RECSYS_STORE" in alert["remedy"] and "safe to repeat" in alert["remedy"]
    assert alert["log"] == "http://airflow/log"
    assert alert["sent_at"].endswith("+00:00")


@pytest.mark.parametrize(
    "task",
    [
        *("arrive", "fetch-champion", "validate", "profiles-champion", "move-pointer", "champion"),
        *("make-workspace", "finetune", "register", "open-gate", "approve", "promote", "catch-up", "finish"),
        "watch",
    ],
)
def test_every_task_has_a_remedy(alerts, task):
    assert len(alerts.failure(failed(task))["remedy"]) > 100


def test_the_failure_is_noted_in_the_workspace_for_status(alerts, receiver, tmp_path):
    alerts.alert_failure(failed("ingest"))
    note = json.loads((tmp_path / "var/last_failure.json").read_text())
    assert note == json.loads(receiver[0][1])
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["last_failure.json"]


def test_a_killed_task_without_an_exception_is_reported_too(alerts, receiver):
    alerts.alert_failure(failed())
    assert json.loads(receiver[0][1])["error"] == "the task's process was killed"


def test_without_a_key_nothing_is_sent_but_the_note_is_kept(alerts, receiver, tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("RECSYS_ALERT_KEY")
    with caplog.at_level(logging.ERROR):
        alerts.alert_failure(failed())
    assert receiver == [] and "RECSYS_ALERT_KEY is not set" in caplog.text
    assert (tmp_path / "var/last_failure.json").exists()


def test_without_an_address_nothing_is_sent(alerts, tmp_path):
    alerts.alert_failure(failed())
    assert (tmp_path / "var/last_failure.json").exists()


def test_a_receiver_that_is_down_raises_nothing_and_the_note_is_kept(alerts, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("RECSYS_ALERT_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("RECSYS_ALERT_KEY", KEY)
    alerts.alert_failure(failed())
    assert "could not be sent" in caplog.text
    assert (tmp_path / "var/last_failure.json").exists()


def test_a_workspace_that_cannot_be_written_does_not_silence_the_alert(alerts, receiver, tmp_path, caplog):
    (tmp_path / "var").write_text("a file where a folder should be")
    alerts.alert_failure(failed())
    assert len(receiver) == 1
    assert "could not be noted" in caplog.text
