"""MLflow's webhooks: deliveries signed by MLflow's own code, a subscription at a real MLflow server."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from recsys.effects.webhook import NAME, webhook
from recsys.errors import RegistryError, RegistryUnreachable, WebhookRefused
from recsys.registry.webhook import TOLERANCE_S, verify
from tests.registry.judged import by_hand, client_of

SECRET = "sixteen characters and more"
NOW = 1_790_000_000
MOVED = {
    "entity": "model_version_alias",
    "action": "created",
    "data": {"name": "item-encoder", "alias": "champion", "version": "3"},
}


def signed(body, *, secret=SECRET, at=NOW, delivery="0b9d7c1e-3b0a-4f6e-9f0c-2a51d6c8e001"):
    """Headers as MLflow sends them."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    return {
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": str(at),
        "X-MLflow-Signature": _generate_hmac_signature(secret, delivery, str(at), body),
    }


def judged(body=None, headers=None, **signing):
    text = json.dumps(MOVED) if body is None else body
    return verify(signed(text, **signing) if headers is None else headers, text.encode(), SECRET, NOW)


def test_a_delivery_that_mlflow_signed_just_now_says_what_it_moved():
    found = judged()
    assert (found.entity, found.action, found.data["version"]) == ("model_version_alias", "created", "3")
    assert found.moves_champion() and not found.moves_champion("another-model")


@pytest.mark.parametrize(
    "change",
    [{"entity": "model_version"}, {"data": {"name": "item-encoder", "alias": "challenger"}}, {"data": {}}],
)
def test_what_moves_something_else_is_recognised(change):
    assert not judged(json.dumps(MOVED | change)).moves_champion()


def test_a_delivery_of_somebody_else_is_refused():
    with pytest.raises(WebhookRefused, match="not signed with this secret"):
        judged(secret="another secret, long enough")
    with pytest.raises(WebhookRefused, match="not signed"):
        judged(headers={})


def test_an_altered_body_delivery_id_or_timestamp_is_refused():
    text = json.dumps(MOVED)
    with pytest.raises(WebhookRefused, match="not signed"):
        verify(signed(text), text.replace("3", "4").encode(), SECRET, NOW)
    for name, value in (("X-MLflow-Delivery-Id", "0b9d7c1e"), ("X-MLflow-Timestamp", str(NOW - 1))):
        with pytest.raises(WebhookRefused, match="not signed"):
            judged(headers=signed(text) | {name: value})


@pytest.mark.parametrize("off", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_an_old_delivery_sent_again_is_refused_though_its_signature_is_right(off):
    with pytest.raises(WebhookRefused, match="timestamp"):
        judged(at=NOW + off)
    assert judged(at=NOW + (TOLERANCE_S if off > 0 else -TOLERANCE_S)).moves_champion()


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"entity": "x", "action": "y", "data": 3}', "nonsense"])
def test_a_signed_delivery_that_says_nothing_is_refused(body):
    with pytest.raises(WebhookRefused, match="cannot be read"):
        judged(body)


@pytest.mark.parametrize("delivery", ["", "../../etc", "a b", "x" * 101])
def test_an_id_that_cannot_be_part_of_a_runs_id_is_refused(delivery):
    with pytest.raises(WebhookRefused, match="is none"):
        judged(delivery=delivery)


@pytest.fixture
def ear():
    """A real receiver that keeps what verifies, and answers as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                kept.got.append(verify(dict(self.headers), body, SECRET, time.time()))
                self.send_response(kept.answers)
            except WebhookRefused:
                self.send_response(401)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as kept:
        kept.got, kept.answers = [], 200
        thread = threading.Thread(target=kept.serve_forever)
        thread.start()
        yield kept
        kept.shutdown()
        thread.join()


@pytest.fixture
def hooks(mlflow_server):
    """The server has no webhook before and after."""
    client = client_of(mlflow_server)
    yield lambda: [one for one in client.list_webhooks() if one.name == NAME]
    for one in client.list_webhooks():
        client.delete_webhook(one.webhook_id)


@pytest.mark.servers
def test_subscribed_twice_there_is_one_webhook_and_a_move_by_hand_arrives_signed(
    mlflow_server, model, ear, hooks
):
    address = f"http://127.0.0.1:{ear.server_port}/recsys/champion"
    first = webhook(mlflow_server, "http://127.0.0.1:9/nobody", "a first secret, replaced later")
    assert first.made and "Connection refused" in first.answered
    again = webhook(mlflow_server, address, SECRET)
    assert (again.made, again.answered, again.id) == (False, "", first.id)
    assert [one.url for one in hooks()] == [address]
    client = client_of(mlflow_server)
    client.create_registered_model(model)
    run = client.create_run("0")
    version = client.create_model_version(model, f"{run.info.artifact_uri}/x", run.info.run_id).version
    time.sleep(1.5)  # the server's cache of webhooks
    by_hand(mlflow_server, model, "champion", version)
    for _ in range(100):
        if any(one.moves_champion(model) for one in ear.got):
            break
        time.sleep(0.2)
    assert [one.data["version"] for one in ear.got if one.moves_champion(model)] == [version]


@pytest.mark.servers
def test_a_receiver_that_refuses_is_told_at_once(mlflow_server, ear, hooks):
    address = f"http://127.0.0.1:{ear.server_port}/recsys/champion"
    assert "HTTP 401" in webhook(mlflow_server, address, "not what the receiver has").answered


def test_a_short_secret_and_a_registry_that_is_down_are_errors_with_a_remedy():
    with pytest.raises(RegistryError, match="fewer than 16(.|\n)*token_hex"):
        webhook("http://127.0.0.1:9", "http://127.0.0.1:9/", "short")
    with pytest.raises(RegistryUnreachable, match="remedy: start MLflow"):
        webhook("http://127.0.0.1:9", "http://127.0.0.1:9/", SECRET)
