"""The slow loop and the release loop in a real Airflow with a real MLflow; the tests run in order, on one platform."""

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
import yaml

from localplatform.airflow_client import FINISHED, SERVER_ERROR, AirflowRefused
from localplatform.processes import path_with_venv
from recsys import Release
from recsys.publishing.store import ReleaseStore
from recsys.registry import mlflow
from recsys.registry.due import n_interactions, n_trained
from recsys.registry.ledger import entries
from recsys.registry.mlflow import champion
from recsys.storage.opening import open_storage
from tests.registry.judged import by_hand, client_of
from tests.training.tastes import taste_pairs, taste_texts

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]  # later than SLOW, whose failure tells what ran

TRAIN, PUBLISH, ARRIVALS = "train_challenger", "publish_champion", "profile_arrivals"
WAITS = "awaiting_input"
SLOW = 600  # seconds that a run may take on a busy machine


def published_hash(platform):
    return head(platform).model.hash


def head(platform):
    store = ReleaseStore(open_storage(platform.store))
    return store.manifest(store.current().current.head)


def states(platform, run):
    return {task.name: task.state for task in platform.airflow.tasks(run)}


def task_is(platform, run_id, name, state):
    """Wait until a task of a training is in a state."""

    def reached():
        return states(platform, platform.airflow.run(TRAIN, run_id)).get(name) == state

    return platform.wait(reached, f"{name} is {state}", SLOW)


def ended(platform, dag, run_id, state="success"):
    run = platform.wait_for_end(dag, run_id, SLOW)
    assert run.state == state, platform.story()
    return states(platform, run)


def again(platform, run_id, task):
    """Clear a task of a training and what follows it."""
    body = {"dry_run": False, "only_failed": False, "include_downstream": True}
    body |= {"task_ids": [task], "dag_run_id": run_id}
    platform.airflow._call("POST", f"/api/v2/dags/{TRAIN}/clearTaskInstances", body)


def hitl(platform, run_id):
    return f"/api/v2/dags/{TRAIN}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


def answer(platform, run_id, option):
    body = {"chosen_options": [option], "params_input": {}}
    platform.airflow._call("PATCH", hitl(platform, run_id), body)


def decided(platform, run_id, option):
    """Answer whenever a training asks, as a person does, until it ends; asked twice when a worker died in between.

    A person takes seconds. An answer within the first one finds the process that asked still ending: Airflow then takes
    the task that goes on for that process, and kills it.
    """
    waiting_since = None

    def done():
        nonlocal waiting_since
        run = platform.airflow.run(TRAIN, run_id)
        if states(platform, run).get("approve") != WAITS:
            waiting_since = None
        elif waiting_since is None:
            waiting_since = time.monotonic()
        elif time.monotonic() - waiting_since > 3:
            answer(platform, run_id, option)
            waiting_since = None
        return run if run.state in FINISHED else None

    run = platform.wait(done, f"{run_id}, answered {option}, ends", SLOW)
    assert run.state == "success", platform.story()
    return states(platform, run)


def recsys(platform, *words):
    """A command by hand in the fast loop's workspace."""
    environment = os.environ | platform.environment | {"PATH": path_with_venv()}
    return subprocess.run(
        ["python", "-m", "recsys", *words],
        cwd=platform.workspace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def published(platform):
    """The platform with a published release of items of six tastes; MLflow tells Airflow when the champion changes."""
    platform.wait(lambda: platform.airflow.knows(PUBLISH), "the DAGs are known", 120)
    assert platform.airflow.import_errors() == []
    pairs = taste_pairs()
    rows = [
        {"user_id": user, "item_id": item, "event": "view", "timestamp": 1.7e9 + 60 * n}
        for n, (user, item) in enumerate(pairs)
    ]
    platform.land("taste-clicks.jsonl", rows, kind="interactions")
    platform.land(
        "taste-items.jsonl", [{"item_id": item, "title": text} for item, text in taste_texts().items()]
    )

    def all_there():
        if not Path(platform.store, "CURRENT").exists():
            return False
        release = Release.open(platform.store)
        return set(taste_texts()) <= set(release.items) and len(release.users) >= 60

    platform.wait(all_there, "the items are published", SLOW)
    done = recsys(platform, "webhook", f"{platform.server.url}/recsys/champion")
    assert done.returncode == 0, done.stderr
    return platform


@pytest.fixture(scope="module")
def training(published):
    """The one training of these tests, with what was typed into the form."""
    return published.airflow.trigger(TRAIN, {"epochs": 2, "objective": "mean"})


def test_the_pool_for_gpus_is_there_without_hands(platform):
    pool = platform.airflow._call("GET", "/api/v2/pools/gpu")
    assert pool["slots"] == 1 and "Firstlight" in pool["description"]


def test_a_bad_value_in_the_form_is_refused_before_anything_runs(published):
    with pytest.raises(AirflowRefused, match="epochs"):
        published.airflow.trigger(TRAIN, {"epochs": 0})
    assert published.airflow.runs(TRAIN) == []


def test_a_closed_gate_shows_as_skipped_and_the_champion_stays(published, training):
    found = ended(published, TRAIN, training)
    assert {found[name] for name in ("open-gate", "approve", "promote")} == {"skipped"}
    assert {state for name, state in found.items() if state != "skipped"} == {"success"}
    assert champion(published.mlflow).version == "1"
    challenger = mlflow.with_alias(published.mlflow, "challenger")
    own = published.own(TRAIN, training)
    settings = yaml.safe_load((own / "params.yaml").read_text("utf-8"))
    assert (settings["finetune"]["epochs"], settings["finetune"]["objective"]) == (2, "mean")
    summary = json.loads((own / "artifacts/finetune/summary.json").read_text("utf-8"))
    assert summary["model_hash"] == challenger.hash and summary["params"]["epochs"] == 2
    assert published_hash(published) == champion(published.mlflow).hash


def test_a_person_who_refuses_keeps_the_champion(published, training):
    own = published.own(TRAIN, training)
    settings = yaml.safe_load((own / "params.yaml").read_text("utf-8"))
    settings["gate"]["min_margin_over_champion"] = -1.0
    (own / "params.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    again(published, training, "gate")
    task_is(published, training, "approve", WAITS)
    asked = published.airflow._call("GET", hitl(published, training))
    assert "challenger" in asked["subject"] and "| cold |" in asked["body"]
    assert "The gate is **open**" in asked["body"]
    assert decided(published, training, "Reject")["promote"] == "skipped"
    assert champion(published.mlflow).version == "1"


def test_approved_it_becomes_champion_and_is_published_while_arrivals_go_on(published, training):
    again(published, training, "approve")
    task_is(published, training, "approve", WAITS)
    decided(published, training, "Approve")
    new = champion(published.mlflow)
    assert new.hash == mlflow.with_alias(published.mlflow, "challenger").hash != head(published).model.hash
    assert entries(published.mlflow)[-1].how == "gated"
    assert entries(published.mlflow)[-1].who == f"Airflow {TRAIN} {training}, approved by admin"
    published.wait(lambda: [*published.workspaces.glob(f"{PUBLISH}.*")], "publish_champion has begun", SLOW)
    published.land("late.jsonl", [{"item_id": "late", "title": "abcd dcba"}])
    published.wait(lambda: published_hash(published) == new.hash, "the new encoder is published", SLOW)
    published.wait(
        lambda: "late" in Release.open(published.store).items, "the late arrival is published", SLOW
    )
    found = head(published)  # one encoder, and what the gate said about it
    assert found.model.hash == new.hash == found.decision["model_hash"] and found.decision["open"]
    published.wait(lambda: published.quiet(PUBLISH, ARRIVALS), "all runs end", SLOW)
    for dag in (PUBLISH, ARRIVALS):  # the next sweep may have begun since
        ended = {run.state for run in published.airflow.runs(dag) if run.state in FINISHED}
        assert ended == {"success"}, published.story()
    assert any(run.id.startswith("webhook__") for run in published.airflow.runs(PUBLISH))
    assert list(published.workspaces.glob(f"{PUBLISH}.*")) == []  # each removed its own


def deliver(published, secret, delivery, body):
    """POST what MLflow would; the signature is made by MLflow's own code."""
    from mlflow.webhooks.delivery import _generate_hmac_signature

    stamp, text = str(int(time.time())), json.dumps(body)
    headers = {
        "Content-Type": "application/json",
        "X-MLflow-Delivery-Id": delivery,
        "X-MLflow-Timestamp": stamp,
        "X-MLflow-Signature": _generate_hmac_signature(secret, delivery, stamp, text),
    }
    address = f"{published.server.url}/recsys/champion"
    request = urllib.request.Request(address, text.encode(), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_forged_delivery_starts_nothing_and_a_replayed_one_starts_once(published):
    moved = {
        "entity": "model_version_alias",
        "action": "created",
        "data": {"name": "item-encoder", "alias": "champion", "version": "2"},
    }
    known, delivery = {run.id for run in published.airflow.runs(PUBLISH)}, str(uuid4())
    assert deliver(published, "not the shared secret", delivery, moved)[0] == 401
    other = moved | {"data": moved["data"] | {"alias": "challenger"}}
    assert "ignored" in deliver(published, published.secret, str(uuid4()), other)[1]
    assert deliver(published, published.secret, delivery, moved) == (200, {"started": PUBLISH})
    assert deliver(published, published.secret, delivery, moved) == (200, {"known": PUBLISH})
    found = ended(published, PUBLISH, f"webhook__{delivery}")
    assert set(found.values()) == {"skipped"}  # the champion is published already
    runs = {run.id for run in published.airflow.runs(PUBLISH)} - known  # the promotion may start one late
    assert {run for run in runs if run.startswith("webhook__")} == {f"webhook__{delivery}"}


def test_what_a_lost_webhook_would_report_is_found_a_foreign_version_refused_and_an_earlier_champion_published(
    published,
):
    client = client_of(published.mlflow)
    (hook,) = client.list_webhooks()
    client.update_webhook(hook.webhook_id, status="DISABLED")
    time.sleep(2)  # MLflow's cache of webhooks, which this platform keeps for a second
    before, known = head(published), {run.id for run in published.airflow.runs(PUBLISH)}
    run = client.create_run(client.create_experiment(f"somebody's {uuid4().hex}"))
    foreign = client.create_model_version("item-encoder", f"{run.info.artifact_uri}/model", run.info.run_id)
    by_hand(published.mlflow, "item-encoder", "champion", foreign.version)

    def woken():
        runs = [one for one in published.airflow.runs(PUBLISH) if one.id not in known]
        return [one for one in runs if states(published, one).get("champion") in ("up_for_retry", "failed")]

    run = published.wait(woken, "the sweep meets the foreign version", SLOW)[0]
    (task,) = [task for task in published.airflow.tasks(run) if task.name == "champion"]
    words = f"version {foreign.version} of item-encoder has no tag encoder_hash"
    assert words in published.airflow.log(run, task, 80)
    assert head(published) == before
    by_hand(
        published.mlflow, "item-encoder", "champion", "1"
    )  # mended, to an earlier champion; a retry goes on
    first = champion(published.mlflow).hash
    assert first != before.model.hash
    published.wait(lambda: published_hash(published) == first, "version 1 is published again", SLOW)
    assert {run.kind for run in published.airflow.runs(PUBLISH) if run.id not in known} == {"scheduled"}
    assert {"late", *taste_texts()} <= set(Release.open(published.store).items)  # nothing was reverted
    last = entries(published.mlflow)[-1]
    assert (last.alias, last.how, last.version) == ("champion", "by hand", "1")


LOOK = "train_when_due"


def insist(published, method, path, body=None):
    """Ask until Airflow takes it: on sqlite it may be too busy to write."""

    def taken():
        try:
            return published.airflow._call(method, path, body)
        except AirflowRefused as error:
            if error.status < SERVER_ERROR:
                raise
            return None

    return published.wait(taken, f"{method} {path} is taken", SLOW)


def woken(published, known, task_state):
    """Wait for a training of no known id whose first task is in a state."""

    def found():
        runs = [run for run in published.airflow.runs(TRAIN) if run.id not in known]
        return [run for run in runs if states(published, run).get("make-workspace") == task_state]

    return published.wait(found, f"an event wakes a training, make-workspace is {task_state}", SLOW)[0]


def trainings(published):
    return {run.id for run in published.airflow.runs(TRAIN)}


def test_enough_new_interactions_start_a_training_and_none_beside_it_or_after_it_failed(published, training):
    ended(published, TRAIN, training)
    accepted, known = n_interactions(published.workspace / "data"), trainings(published)
    assert n_trained(published.mlflow) == accepted  # by hand or by itself, whatever the gate said: it counts
    settings = yaml.safe_load((published.workspace / "params.yaml").read_text("utf-8"))
    settings["slow_loop"]["train_after_interactions"] = 3
    (published.workspace / "params.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    for dag in (LOOK, TRAIN):  # Airflow would read them again within three minutes
        token = published.airflow._call("GET", f"/api/v2/dags/{dag}")["file_token"]
        with contextlib.suppress(AirflowRefused):
            published.airflow._call("PUT", f"/api/v2/parseDagFile/{token}")
    rows = [
        {"user_id": user, "item_id": item, "event": "view", "timestamp": 1.71e9}
        for user, item in taste_pairs()[:3]
    ]
    published.land("taste-clicks-again.jsonl", rows, kind="interactions")
    run = woken(published, known, "success")
    assert run.kind == "asset_triggered"
    look = published.airflow.trigger(LOOK)
    assert ended(published, LOOK, look) == {"due": "skipped"}
    (task,) = published.airflow.tasks(published.airflow.run(LOOK, look))
    told = published.airflow.log(published.airflow.run(LOOK, look), task, 80)
    assert "Skipping task" in told and "are accepted" not in told  # without a look, since one is under way
    insist(published, "PATCH", f"/api/v2/dags/{TRAIN}/dagRuns/{quote(run.id)}", {"state": "failed"})
    published.wait(lambda: published.quiet(TRAIN), "it ends", SLOW)
    asked = recsys(published, "due")
    assert asked.returncode == 99 and f"a training on {accepted + 3} was started" in asked.stderr
    # An event that stranded, or that a person makes, wakes a run that looks for itself.
    known, assets = (
        trainings(published),
        published.airflow._call("GET", "/api/v2/assets?uri_pattern=training-due"),
    )
    insist(published, "POST", "/api/v2/assets/events", {"asset_id": assets["assets"][0]["id"], "extra": {}})
    idle = woken(published, known, "skipped")
    assert set(ended(published, TRAIN, idle.id).values()) == {"skipped"}
