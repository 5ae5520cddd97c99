"""Alert a person when a task failed for good: one signed POST, and a note in the workspace for `recsys status`."""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recsys.alerts import send

log = logging.getLogger(__name__)

NOTE = Path("var/last_failure.json")

RERUN = (
    "Every task is safe to repeat: fix the cause, then clear the task in Airflow, or wait for the next sweep."
)
REMEDIES = {
    "arrive": "The log's last lines name the step, and the row, key or file. A landed file stays where it is; the last "
    "release goes on being served. See `recsys status` and `recsys quarantine list`; `recsys ingest --accept BATCH "
    "--why …` lets a refused batch in. Check RECSYS_LANDING, RECSYS_STORE and their credentials, then `recsys doctor`.",
    "fetch-champion": "Check that MLflow answers and that a version of item-encoder has the alias champion.",
    "champion": "Give the alias champion to a version that Firstlight registered (`recsys ledger` lists them), and "
    "check that MLflow answers; what is published stays as it is.",
    "due": "Check that MLflow answers; the log names a version or a part that is wrong. No training starts by itself "
    "meanwhile; by hand and by the clock they do.",
    "make-workspace": "The log names a key of params.yaml or of the form that is out of bounds, or data that neither "
    "DVC's cache nor its remote has; check the disk.",
    "finetune": "The log's last lines name the batch, or too little to learn from; it goes on from its checkpoint. The "
    "run's workspace stays below RECSYS_WORKSPACES.",
    "register": "Check that MLflow answers; the trained and judged challenger is in the run's workspace.",
    "open-gate": "Check that MLflow answers; the decision is in the run's workspace and in MLflow.",
    "approve": "Nobody answered in slow_loop.approval_hours; the champion stays. To decide again, clear the task.",
    "promote": "Check that MLflow answers; `recsys ledger` shows how far the change of the alias came.",
    "catch-up": "The log names the check or the stage; arrivals and readers go on with the old encoder.",
    "finish": "The run did its work; only its workspace below RECSYS_WORKSPACES could not be removed. Check the disk.",
    "watch": "Nothing that is published depends on it. The log names the file; check RECSYS_STORE and its credentials, "
    "and whether RECSYS_ALERT_URL answers; what was not sent is sent by the next run.",
    "wake-training": "No training starts because of what changed; the next run tries again.",
    "move-pointer": "Check RECSYS_STORE and its credentials; `recsys releases` lists what can be rolled back to.",
}
STAGE_REMEDY = (
    "The log's last lines name the row, key or file; `recsys doctor` checks the machine, the disk and DVC."
)


def alert_failure(context: Any) -> None:  # noqa: ANN401  Airflow's Context
    """Callback for a task that failed and has no retry left; never raises, so a failing alert hides nothing.

    Sends what `failure` gives, signed (`recsys.alerts.send`).
    """
    try:
        alert = failure(context)
    except Exception:
        log.exception("Airflow's context lacks what names the failure: %r", context)
        return
    for act, done in ((keep, "noted in the workspace"), (send, "sent")):
        try:
            act(alert)
        except Exception:
            log.exception("the failure of %s could not be %s", alert["task"], done)


def failure(context: Any) -> dict[str, Any]:  # noqa: ANN401
    """What failed and what to do, from Airflow's context."""
    task = context["ti"]
    return {
        "event": "task_failed",
        "dag": task.dag_id,
        "task": task.task_id,
        "run": task.run_id,
        "try": task.try_number,
        "error": str(context.get("exception") or "the task's process was killed")[:1000],
        "remedy": f"{REMEDIES.get(task.task_id, STAGE_REMEDY)} {RERUN}",
        "log": str(getattr(task, "log_url", "")),
        "sent_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def keep(alert: dict[str, Any]) -> None:
    """Write var/last_failure.json in the workspace, whole or not at all."""
    note = Path(os.environ.get("RECSYS_WORKSPACE") or ".").resolve() / NOTE
    note.parent.mkdir(parents=True, exist_ok=True)
    temporary = note.with_name(f".tmp-{note.name}-{os.getpid()}")
    temporary.write_text(json.dumps(alert, indent=1) + "\n", "utf-8")
    temporary.replace(note)
