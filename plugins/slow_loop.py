"""What tasks of the slow loop and the release loop need besides a command: a workspace, a pool, a form, a person."""

import importlib.util
import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import (
    Asset,
    AssetAny,
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    DeltaTriggerTimetable,
    Param,
)
from airflow.sdk.exceptions import AirflowSkipException
from recsys_tasks import CACHE, OWN, SHARES_DISK, WORKSPACE, effect, section

if TYPE_CHECKING:
    from pydantic import BaseModel

FIRST_KEYS = (
    "objective",
    "layers",
    "top_layers",
    "lora_rank",
    "epochs",
    "batch_items",
    "learning_rate",
    "seed",
    "trials",
)
"""Keys of section `finetune` that people change most; they come first in the form."""
CHAMPION = Asset("recsys://champion")
"""The registry's alias `champion` was given to another version; `publish_champion` waits for it."""
ENCODER = Asset("recsys://encoder")
"""A release with another encoder was published; `profile_arrivals` goes on with it."""
DUE = Asset("recsys://training-due")
"""Enough interactions were accepted since the last training; `train_challenger` starts, and looks again itself."""
RELEASE = Asset("recsys://release")
"""An arrival was published; `watch_catalogue` looks at it."""
MOVED = Asset("recsys://moved")
"""A signal of `monitor.train_on` has a new alarm; `train_challenger` starts, however few interactions there are."""
TRAINING = "train_challenger"
WHEN_DUE = (
    "{% set moved = triggering_asset_events | map(attribute='name') | select('eq', 'recsys://moved') | list %}"
    "{{ '--when-due' if dag_run.run_type == 'asset_triggered' and not moved else '' }}"
)
"""Template: a run that enough interactions woke checks first whether it is due. A person, the clock and an alarm have
decided already."""
WHO = "Airflow {{ dag.dag_id }} {{ run_id }}"
APPROVED_BY = (
    "{% set answer = ti.xcom_pull(task_ids='approve') %}"
    "{% if answer %}, approved by {{ answer.responded_by_user.name }}{% endif %}"
)
SLICES = ("cold", "warm", "head", "tail", "mixed")
PATIENT: dict[str, Any] = {"retries": 5, "max_retry_delay": timedelta(minutes=5)}
"""Retries of tasks that need MLflow at the end of hours of training: they bridge about three minutes without it."""


def form() -> dict[str, Param]:
    """The keys of section `finetune` as a form: values of params.yaml, bounds and meanings of the code."""
    from recsys.training.params import FinetuneParams

    described = FinetuneParams.model_json_schema()["properties"]
    values = _by_field(section("finetune"), FinetuneParams)
    names = [*FIRST_KEYS, *(name for name in described if name not in FIRST_KEYS)]
    return {
        name: _field(name, described[name], values[name])
        for name in names
        if name in values and name != "roles"
    }


def _by_field(values: Mapping[str, Any], params: type["BaseModel"]) -> dict[str, Any]:
    """Values by the names of their fields, where an older params.yaml may call them otherwise."""
    return {
        name: values[key]
        for name, field in params.model_fields.items()
        for key in getattr(field.validation_alias, "choices", (name,))
        if key in values
    }


def _field(name: str, schema: Mapping[str, Any], value: object) -> Param:
    rules = {key: rule for key, rule in schema.items() if key not in ("description", "title")}
    if name not in FIRST_KEYS:
        rules["section"] = "Everything else of section finetune"  # which begins folded
    return Param(value, description=schema.get("description"), title=name, **rules)


def make_workspace(options: str) -> BashOperator:
    """Effect `workspace make`: a workspace of this run's own, the same one in every try."""
    env = {"OWN": OWN, "RECSYS_CACHE": str(CACHE)}
    return effect("workspace make " + options, task_id="make-workspace", arguments='"$OWN"', env=env)


def training_schedule() -> Asset | AssetAny | AssetOrTimeSchedule | str | None:
    """When trainings start: by the clock, on enough new interactions, on alarms, or (None) only by hand."""
    chosen = section("slow_loop")
    clock = chosen["train_cron"] or None
    events = [DUE] * bool(chosen["train_after_interactions"]) + [MOVED] * bool(section("monitor")["train_on"])
    if not events:
        return clock
    assets = events[0] if len(events) == 1 else AssetAny(*events)
    if clock is None:
        return assets
    return AssetOrTimeSchedule(timetable=CronTriggerTimetable(clock, timezone="UTC"), assets=assets)


def look_schedule() -> DeltaTriggerTimetable | None:
    """Schedule of `train_when_due`: as often as interactions are taken in. None where they start no training."""
    if not section("slow_loop")["train_after_interactions"]:
        return None
    return DeltaTriggerTimetable(timedelta(seconds=section("arrivals")["sweep_s"]))


def due() -> BashOperator:
    """Command `due`; skipped while a training is under way, queued or waiting for a person."""
    return effect("due", outlets=[DUE], pre_execute=_skip_if_one_is_under_way, **PATIENT)


def _skip_if_one_is_under_way(context: Any) -> None:  # noqa: ANN401  Airflow's Context
    if n := context["ti"].get_dr_count(TRAINING, states=["queued", "running"]):
        raise AirflowSkipException(f"{n} run(s) of {TRAINING} under way or queued: one at a time")


def make_training_workspace() -> BashOperator:
    """The same for training, with the form's values. They travel as a variable, never as shell text."""
    return effect(
        "workspace make --train",
        task_id="make-workspace",
        arguments='$WHEN_DUE --finetune "$FORM" "$OWN"',
        env={
            "OWN": OWN,
            "RECSYS_CACHE": str(CACHE),
            "FORM": "{{ params | tojson }}",
            "WHEN_DUE": WHEN_DUE,
        },
    )


def finish(keep: int = 0, **kwargs: Any) -> BashOperator:  # noqa: ANN401  BashOperator's own
    """Effect `workspace finish`: mark the run a success; the newest `keep` successful workspaces of its kind stay."""
    command = f"workspace finish --keep {keep}"
    return effect(command, task_id="finish", env={"RECSYS_WORKSPACE": OWN}, **kwargs)


def gpu() -> dict[str, Any]:
    """Where a task that wants a GPU runs: its pool, its queue and, under Kubernetes, its pod."""
    chosen = section("slow_loop")
    return {"pool": chosen["pool"], "queue": chosen["queue"], "executor_config": pod(chosen)}


def gpu_to_encode(pictures: bool = False) -> dict[str, Any]:
    """The same for a task that encodes, where `profiles.device` is cuda; else empty.

    Args:
        pictures: it encodes pictures alone, if any.

    Returns:
        Arguments of the task.
    """
    encodes = not pictures or section("images")["encoder"] != "none"
    return gpu() if encodes and section("profiles")["device"] == "cuda" else {}


def pod(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The pod override of section `slow_loop`; empty where none is configured, or without Kubernetes."""
    is_wanted = chosen["gpus"] or chosen["image"]
    if (
        not is_wanted or importlib.util.find_spec("kubernetes") is None
    ):  # only its executor reads this, and needs it
        return {}
    from kubernetes.client import models as k8s

    limits = {"nvidia.com/gpu": str(chosen["gpus"])} if chosen["gpus"] else None
    container = k8s.V1Container(
        name="base",  # the one that Airflow runs the task in
        image=chosen["image"] or None,
        resources=k8s.V1ResourceRequirements(limits=limits),
    )
    return {"pod_override": k8s.V1Pod(spec=k8s.V1PodSpec(containers=[container]))}


def registration() -> BashOperator:
    """Effect `register`: the challenger is kept with its verdict, whether the gate is open or closed."""
    return effect("register", workspace=OWN, env={"RECSYS_WHO": WHO}, **PATIENT)


def promotion() -> list[Any]:
    """Effect `promote`; with `gate.needs_approval` a person decides first, and only if the gate is open."""
    if not section("gate")["needs_approval"]:
        return [effect("promote", workspace=OWN, outlets=[CHAMPION], env={"RECSYS_WHO": WHO}, **PATIENT)]
    who = {"RECSYS_WHO": WHO + APPROVED_BY}
    is_open = effect("promote --dry-run", task_id="open-gate", workspace=OWN, **PATIENT)
    return [is_open, approval(), effect("promote", workspace=OWN, outlets=[CHAMPION], env=who, **PATIENT)]


def approval() -> ApprovalOperator:
    """A person sees the decision and approves or rejects; rejected, the champion stays and `promote` is skipped."""
    return ApprovalOperator(
        task_id="approve",
        subject="May this challenger become the champion?",
        body=OWN,  # rendered first, then replaced by what lies there
        response_timeout=timedelta(hours=section("slow_loop")["approval_hours"]),
        pre_execute=_show_verdict,
    )


def _show_verdict(context: Any) -> None:  # noqa: ANN401  Airflow's Context
    task = context["task"]
    bring_run(Path(task.body))
    task.body = verdict(Path(task.body))


def bring_run(workspace: Path) -> None:
    """Bring a run's workspace to this worker, where workers share no disk."""
    if SHARES_DISK:
        return
    from recsys.artifacts import Artifacts
    from recsys.effects.states import run_state
    from recsys.storage.opening import open_storage

    os.environ["RECSYS_CACHE"] = str(CACHE)
    run_state(open_storage(os.environ["RECSYS_STATE"]), Artifacts(workspace)).bring(Artifacts(WORKSPACE))


def verdict(workspace: Path) -> str:
    """The gate's decision and the figures behind it, as Markdown.

    Args:
        workspace: of the run that judged.

    Returns:
        What a person needs to decide, and where to see more.
    """
    from recsys.gate.decision import Decision

    decision = Decision.load(workspace / "artifacts/gate/decision.json")
    metrics = json.loads((workspace / "artifacts/evaluate/metrics.json").read_text("utf-8"))
    lines = [
        f"The gate is **{'open' if decision.open else 'closed'}** for challenger `{decision.model_hash[:10]}` "
        f"against champion `{str(decision.champion_hash)[:10]}`. Champion → challenger:",
        "",
        *_table(metrics),
        "",
    ]
    lines += [f"- {check.requirement} {check.reason or 'Yes.'}" for check in decision.checks]
    registry = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    where = f"[MLflow]({registry}/#/models/item-encoder)" if registry else "MLflow"
    lines += [
        "",
        f"Users' lists before and after are in gate.html beside the version with alias challenger in {where}.",
    ]
    return "\n".join(lines)


def _table(metrics: Mapping[str, float | None]) -> list[str]:
    """A row per slice, a column per metric of both models; figures that one of them lacks stay out."""
    found = [name for name in metrics if name.split("/")[0] in SLICES and f"challenger/{name}" in metrics]
    columns = list(dict.fromkeys(name.partition("/")[2] for name in found))
    lines = [f"| items | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for part in dict.fromkeys(name.split("/")[0] for name in found):
        both = [(metrics.get(f"{part}/{one}"), metrics.get(f"challenger/{part}/{one}")) for one in columns]
        cells = ["" if None in pair else f"{pair[0]:.3f} → {pair[1]:.3f}" for pair in both]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return lines
