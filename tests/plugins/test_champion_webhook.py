"""The receiver of MLflow's webhook, as far as it gets without Airflow's database; the rest is in tests/dags."""

import asyncio
import json
import logging
import time

import pytest

SECRET = "sixteen characters and more"


@pytest.fixture
def ear(plugin, monkeypatch):
    """The plugin, with the secret; what it starts is remembered."""
    module = plugin("champion_webhook")
    monkeypatch.setenv("RECSYS_WEBHOOK_SECRET", SECRET)
    module.started = []

    def start(run_id):
        module.started.append(run_id)
        return "started"

    monkeypatch.setattr(module, "start", start)
    return module


def headers(body, secret=SECRET, delivery="0b9d7c1e-3b0a"):
    from mlflow.webhooks.delivery import _generate_hmac_signature

    stamp = str(int(time.time()))
    return {
        "x-mlflow-delivery-id": delivery,
        "x-mlflow-timestamp": stamp,
        "x-mlflow-signature": _generate_hmac_signature(secret, delivery, stamp, body),
    }


def moved(alias="champion"):
    data = {"name": "item-encoder", "alias": alias, "version": "2"}
    return json.dumps({"entity": "model_version_alias", "action": "created", "data": data})


def ask(app, path, body, given, method="POST"):
    """One HTTP request through the ASGI app: status and JSON."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


def test_a_signed_move_of_the_champion_starts_a_run_named_by_the_delivery(ear):
    body = moved()
    assert ask(ear.receiver, "/champion", body.encode(), headers(body)) == (
        200,
        {"started": "publish_champion"},
    )
    assert ear.started == ["webhook__0b9d7c1e-3b0a"]


def test_what_is_forged_too_long_elsewhere_or_about_something_else_starts_nothing(ear):
    body = moved()
    assert ask(ear.receiver, "/champion", body.encode(), headers(body, "another secret"))[0] == 401
    assert ask(ear.receiver, "/champion", b"x" * 70_000, headers(body))[0] == 413
    assert ask(ear.receiver, "/elsewhere", body.encode(), headers(body))[0] == 404
    assert ask(ear.receiver, "/champion", b"", {}, method="GET")[0] == 405
    other = moved("challenger")
    assert "ignored" in ask(ear.receiver, "/champion", other.encode(), headers(other))[1]
    assert ear.started == []


def test_without_the_secret_nobody_is_believed(ear, monkeypatch, caplog):
    monkeypatch.delenv("RECSYS_WEBHOOK_SECRET")
    body = moved()
    with caplog.at_level(logging.ERROR):
        assert ask(ear.receiver, "/champion", body.encode(), headers(body))[0] == 503
    assert "RECSYS_WEBHOOK_SECRET is not set" in caplog.text and ear.started == []


def test_a_busy_database_asks_mlflow_to_try_again(ear, monkeypatch, caplog):
    def busy(run_id):
        raise RuntimeError("database is locked")

    monkeypatch.setattr(ear, "start", busy)
    body = moved()
    with caplog.at_level(logging.ERROR):
        assert ask(ear.receiver, "/champion", body.encode(), headers(body))[0] == 503
    assert "database is locked" in caplog.text
