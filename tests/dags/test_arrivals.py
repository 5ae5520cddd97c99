"""The fast loop in a real Airflow, with real DVC and a tiny real encoder. Tests run in order and share the platform."""

import contextlib
import hashlib
import hmac
import json
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from localplatform.airflow_client import FINISHED, AirflowRefused
from recsys import Release

pytestmark = pytest.mark.servers

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "island", "juniper")
INJECTION = "'; touch pwned; \" $(touch pwned) `touch pwned` {{ dag }}"


def films(first, n, edition="first"):
    rows = range(first, first + n)
    return [
        {"item_id": f"f{i}", "title": f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} {WORDS[i * 7 % 10]} {edition}"}
        for i in rows
    ]


def clicks(items):
    return [
        {"user_id": f"u{i % 5}", "item_id": f"f{i}", "event": "view", "timestamp": 1.7e9 + i}
        for i in range(items)
    ]


def ids(n):
    return {f"f{i}" for i in range(n)}


def published(platform):
    """Items of the current release; none before the first one."""
    return set(Release.open(platform.store).items) if Path(platform.store, "CURRENT").exists() else set()


def pointer(platform):
    return json.loads(Path(platform.store, "CURRENT").read_text("utf-8"))


def seconds(run):
    return (datetime.fromisoformat(run.end) - datetime.fromisoformat(run.start)).total_seconds()


def wait_for(platform, run_id, state):
    """Wait until a run of the form ends; gives it, if it ended as expected."""

    def ended():
        run = platform.airflow.run("rollback_release", run_id)
        return run if run.state in FINISHED else None

    run = platform.wait(ended, f"{run_id} ends", 120)
    assert run.state == state, platform.story()
    return run


@pytest.fixture(scope="module")
def doomed(platform):
    """A rollback that cannot succeed, started first and judged last: three tries take a while."""
    conf = {"action": "rollback", "release": "999999-0123456789", "why": INJECTION}
    return platform.airflow.trigger("rollback_release", conf)


def test_landed_files_are_published_without_hands(platform, doomed):
    platform.wait(lambda: platform.airflow.knows("profile_arrivals"), "the DAG is known", 60)
    assert platform.airflow.import_errors() == []
    platform.land("clicks.jsonl", clicks(30), kind="interactions")
    platform.land("films.jsonl", films(0, 40))
    platform.wait(lambda: published(platform) == ids(40), "40 films published", 300)
    platform.wait(platform.idle, "the run ends", 60)
    release = Release.open(platform.store)
    assert len(release.users) == 5
    assert "u0" not in release.users  # a pseudonym, never the raw id
    best = [run for run in platform.runs().values() if run.state == "success"]
    assert best and all(run.kind in ("asset_triggered", "scheduled") for run in best)


def test_an_event_that_comes_twice_or_coalesces_changes_nothing(platform):
    before, known = pointer(platform), set(platform.runs())
    asset = platform.airflow._call("GET", "/api/v2/assets?uri_pattern=landing")["assets"][0]
    for _ in range(3):
        with contextlib.suppress(
            AirflowRefused
        ):  # sqlite may be busy: one event fewer must change nothing either
            platform.airflow._call("POST", "/api/v2/assets/events", {"asset_id": asset["id"], "extra": {}})
    new = platform.wait(lambda: set(platform.runs()) - known, "the events start a run", 60)
    platform.wait(platform.idle, "the runs end", 120)
    for run in (run for name, run in platform.runs().items() if name in new):
        states = {task.name: task.state for task in platform.airflow.tasks(run)}
        assert states == {"arrive": "skipped"}
    assert pointer(platform) == before


def test_with_the_watcher_killed_the_sweep_publishes_what_lands(platform):
    (triggerer,) = [process for process in platform.server.processes if process.name == "Airflow triggerer"]
    os.killpg(triggerer.guard.pid, signal.SIGKILL)
    triggerer.guard.wait()

    def settled():
        before = set(platform.runs())
        time.sleep(5)
        return platform.idle() and set(platform.runs()) == before

    platform.wait(settled, "events from before the kill have had their runs", 180)
    longest, known = max(seconds(run) for run in platform.runs().values()), set(platform.runs())
    platform.land("more.jsonl", films(40, 5))
    # A sweep that is under way may have looked a moment too early; then the next one takes the file in.
    patience = platform.sweep_s + 2 * longest + 20
    platform.wait(lambda: published(platform) == ids(45), "45 films published by the sweep", patience)
    new = [run for name, run in platform.runs().items() if name not in known]
    assert all(run.kind == "scheduled" for run in new) and not triggerer.running


def test_a_task_that_fails_for_good_sends_exactly_one_signed_post(platform, doomed):
    wait_for(platform, doomed, "failed")
    platform.wait(lambda: platform.alerts.got, "the alert arrives", 30)
    time.sleep(2)  # a second one would come at once
    ((headers, body),) = platform.alerts.got
    expected = hmac.new(platform.alerts.key.encode(), body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(headers["X-Firstlight-Signature"], f"sha256={expected}")
    alert = json.loads(body)
    assert (alert["dag"], alert["task"], alert["run"], alert["try"]) == (
        "rollback_release",
        "move-pointer",
        doomed,
        3,
    )
    assert "recsys releases" in alert["remedy"]
    assert json.loads((platform.workspace / "var/last_failure.json").read_text("utf-8")) == alert


def test_what_was_typed_into_the_form_ran_no_command(platform, doomed):
    run = wait_for(platform, doomed, "failed")
    (task,) = platform.airflow.tasks(run)
    assert "ReleaseError" in platform.airflow.log(run, task, lines=80)  # our command judged it, no shell
    assert list(platform.workspace.rglob("pwned")) == []


def test_rollback_by_the_form_repoints_and_holds_and_resume_lets_go(platform):
    newest = pointer(platform)
    first = platform.airflow.trigger(
        "rollback_release", {"action": "rollback", "release": "previous", "why": INJECTION}
    )
    wait_for(platform, first, "success")
    held = pointer(platform)
    assert held["release"] != newest["release"] and held["hold"]["why"] == INJECTION
    second = platform.airflow.trigger("rollback_release", {"action": "resume", "why": "mended"})
    wait_for(platform, second, "success")
    assert pointer(platform)["release"] == newest["release"] and pointer(platform)["hold"] is None
