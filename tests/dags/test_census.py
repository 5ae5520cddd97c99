"""Every DAG file is accounted for: loaded by Airflow's own DagBag, in a process and a home of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jinja2 import Template

from recsys.cli import COMMANDS
from recsys.stages import FAST_LOOP, STAGES

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem for path in (ROOT / "dags").glob("*.py")}
LOAD = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
tasks = lambda dag: {
    task.task_id: {
        "command": getattr(task, "bash_command", None),
        "env": getattr(task, "env", None),
        "cwd": getattr(task, "cwd", None),
        "pool": task.pool,
        "queue": task.queue,
        "rule": task.trigger_rule.value,
        "outlets": [asset.name for asset in task.outlets],
        "retries": task.retries,
        "minutes": task.execution_timeout.total_seconds() / 60 if task.execution_timeout else None,
        "callbacks": [callback.__name__ for callback in task.on_failure_callback],
        "after": sorted(task.upstream_task_ids),
    }
    for task in dag.tasks
}
dags = {
    dag.dag_id: {
        "file": dag.fileloc,
        "doc": dag.doc_md,
        "tasks": tasks(dag),
        "schedule": type(dag.timetable).__name__,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
    }
    for dag in bag.dags.values()
}
heavy = sorted({"torch", "great_expectations", "transformers", "openvino", "mlflow", "faiss", "dvc"} & set(sys.modules))
print("\\n" + json.dumps({"errors": {str(k): v for k, v in bag.import_errors.items()}, "dags": dags, "heavy": heavy}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow-home")
    environment = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "RECSYS_WORKSPACE": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(ROOT / "dags")],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def dags(loaded):
    return loaded["dags"]


def test_every_file_loads_and_is_one_dag_of_its_name(loaded):
    assert loaded["errors"] == {}
    assert set(loaded["dags"]) == FILES
    assert sorted(FILES) == [
        "profile_arrivals",
        "publish_champion",
        "rollback_release",
        "train_challenger",
        "train_when_due",
        "watch_catalogue",
    ]
    assert {Path(dag["file"]).stem: name for name, dag in loaded["dags"].items()} == {
        name: name for name in FILES
    }


def test_reading_the_dags_loads_nothing_heavy(loaded):
    assert loaded["heavy"] == []


def test_every_page_is_its_files_docstring(dags):
    for dag in dags.values():
        source = Path(dag["file"]).read_text("utf-8")
        assert source.startswith(f'"""{dag["doc"]}"""') and len(dag["doc"]) > 300


def test_dag_files_are_wiring_only():
    for name in FILES:
        lines = (ROOT / "dags" / f"{name}.py").read_text("utf-8").splitlines()
        assert len(lines) < 70, name
        assert not any("import recsys" in line or "from recsys." in line for line in lines), name


def test_every_task_is_retried_and_tells_when_it_fails_for_good(dags):
    for dag in dags.values():
        assert dag["catchup"] is False and dag["max_active_runs"] == 1
        for name, task in dag["tasks"].items():
            patient = name in (
                "register",
                "promote",
                "open-gate",
                "due",
            )  # an MLflow that is down must not cost a training
            assert task["retries"] == (5 if patient else 2) and task["callbacks"] == ["alert_failure"]
            assert task["env"]["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_every_task_works_in_the_fast_loops_workspace_or_in_that_of_its_run(dags):
    own = (
        f"{ROOT}/var/workspaces/{{{{ dag.dag_id }}}}.{{{{ run_id | replace(':', '-') | replace('+', '-') }}}}"
    )
    for dag in ("train_challenger", "publish_champion"):
        for name, task in dags[dag]["tasks"].items():
            assert task["cwd"] == (str(ROOT) if name in ("champion", "make-workspace", "finish") else own), (
                name
            )
            assert task["env"]["RECSYS_WORKSPACE"] in (own, task["cwd"])
    for dag in ("profile_arrivals", "rollback_release", "train_when_due", "watch_catalogue"):
        for task in dags[dag]["tasks"].values():
            assert task["cwd"] == task["env"]["RECSYS_WORKSPACE"] == str(ROOT)


def test_the_fast_loop_is_one_task_with_the_time_of_all_its_steps(dags):
    ((name, task),) = dags["profile_arrivals"]["tasks"].items()
    assert (name, task["command"]) == ("arrive", "exec python -m recsys arrive --skip-code")
    chosen = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["tasks"]
    steps = ["ingest", "fetch-champion", *(stage.partition("@")[0] for stage in FAST_LOOP), "publish"]
    assert task["minutes"] == sum(chosen["limits_min"].get(step, chosen["limit_min"]) for step in steps)


def test_the_slow_loop_walks_from_data_of_now_to_a_champion_or_to_the_reasons_why_not(dags):
    tasks = dags["train_challenger"]["tasks"]
    assert {name: task["after"] for name, task in tasks.items()} == {
        "make-workspace": [],
        "fetch-champion": ["make-workspace"],
        "validate": ["make-workspace"],
        "images": ["validate"],
        "features": ["images"],
        "split": ["features"],
        "finetune": ["fetch-champion", "split"],
        "profiles-champion": ["features", "fetch-champion"],
        "profiles-challenger": ["finetune"],
        "evaluate": ["profiles-challenger", "profiles-champion"],
        "gate": ["evaluate"],
        "register": ["gate"],
        "promote": ["register"],
        "finish": ["promote", "register"],
    }
    assert tasks["promote"]["outlets"] == ["recsys://champion"]
    wants_gpu = {name for name, task in tasks.items() if (task["pool"], task["queue"]) == ("gpu", "gpu")}
    assert wants_gpu == {"finetune"}  # others compute on it where profiles.device says cuda
    # A closed gate is a success; where nothing was registered since no training was due, nothing is finished.
    assert tasks["finish"]["rule"] == "none_failed_min_one_success"


def test_one_task_looks_whether_training_is_due_and_wakes_it_by_an_event(dags):
    (task,) = dags["train_when_due"]["tasks"].values()
    assert task["command"] == "exec python -m recsys due" and task["outlets"] == ["recsys://training-due"]


def test_only_a_run_that_an_event_woke_looks_whether_it_is_due(dags):
    from airflow.utils.types import DagRunType  # seconds; every worker imports this module

    task = dags["train_challenger"]["tasks"]["make-workspace"]
    assert "workspace make --train $WHEN_DUE --finetune" in task["command"]
    template = Template(task["env"]["WHEN_DUE"])

    def flag(kind, *assets):
        events = [SimpleNamespace(name=asset) for asset in assets]  # as Airflow's mapping, iterated
        return template.render(dag_run=SimpleNamespace(run_type=kind), triggering_asset_events=events)

    flags = {kind.value: flag(kind) for kind in DagRunType}
    woken = DagRunType.ASSET_TRIGGERED
    assert flag(woken, "recsys://training-due") == "--when-due"
    assert flag(woken, "recsys://moved") == flag(woken, "recsys://training-due", "recsys://moved") == ""
    assert flags.pop("asset_triggered") == "--when-due" and set(flags) > {"manual", "scheduled"}
    assert set(flags.values()) == {""}


def test_the_release_loop_walks_from_a_new_champion_to_one_release(dags):
    tasks = dags["publish_champion"]["tasks"]
    assert {name: task["after"] for name, task in tasks.items()} == {
        "champion": [],
        "make-workspace": ["champion"],
        "fetch-champion": ["make-workspace"],
        "validate": ["make-workspace"],
        "images": ["validate"],
        "features": ["images"],
        "profiles-champion": ["features", "fetch-champion"],
        "catch-up": ["profiles-champion"],
        "finish": ["catch-up"],
    }
    assert tasks["catch-up"]["outlets"] == ["recsys://encoder"]


def test_only_publish_champion_may_publish_another_encoder(dags):
    commands = {(name, task["command"]) for name, dag in dags.items() for task in dag["tasks"].values()}
    publishing = {
        (dag, command) for dag, command in commands if re.search(r"recsys (arrive|publish|catch-up)", command)
    }
    assert publishing == {
        ("profile_arrivals", "exec python -m recsys arrive --skip-code"),
        ("publish_champion", "exec python -m recsys catch-up"),
    }


def test_every_task_is_a_stage_by_dvc_repro_single_item_or_one_effect(dags):
    in_dvc = set(yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"])
    tasks = [item for name in FILES - {"rollback_release"} for item in dags[name]["tasks"].items()]
    for name, task in tasks:
        if name in ("make-workspace", "finish"):
            assert task["command"].startswith("exec python -m recsys workspace ")
            continue
        stages = re.fullmatch(r"exec dvc --wait-for-lock repro --single-item (.+)", task["command"])
        effect = re.fullmatch(r"exec python -m recsys (\S+)( --\S+)*", task["command"])
        if stages:
            assert stages[1] in STAGES and stages[1].partition("@")[0] in in_dvc
            assert name == stages[1].replace("@", "-")
        else:
            assert effect and effect[1] == name and name in COMMANDS and name not in STAGES


def test_what_is_published_is_watched_after_each_arrival_and_may_wake_a_training(dags):
    assert dags["profile_arrivals"]["tasks"]["arrive"]["outlets"] == ["recsys://release"]
    tasks = dags["watch_catalogue"]["tasks"]
    assert {name: (task["command"], task["after"], task["outlets"]) for name, task in tasks.items()} == {
        "watch": ("exec python -m recsys watch --if-new", [], []),
        "wake-training": ("exec python -m recsys wake-training", ["watch"], ["recsys://moved"]),
    }
    # Also where nothing is new: a person may have looked, or the last run was killed here.
    assert tasks["wake-training"]["rule"] == "none_failed"
    assert dags["watch_catalogue"]["schedule"] == "AssetOrTimeSchedule"


def test_the_fast_loop_is_woken_by_the_landing_zone_and_by_the_clock(dags):
    assert dags["profile_arrivals"]["schedule"] == "AssetOrTimeSchedule"
    assert dags["publish_champion"]["schedule"] == "AssetOrTimeSchedule"
    assert dags["train_challenger"]["schedule"] == dags["train_when_due"]["schedule"] == "NullTimetable"
    assert dags["rollback_release"]["schedule"] == "NullTimetable"


def test_the_training_form_is_section_finetune_with_its_bounds(dags):
    form = dags["train_challenger"]["params"]
    section = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["finetune"]
    assert set(form) == set(section) - {"roles"}
    assert form["epochs"]["type"] == "integer" and form["epochs"]["minimum"] == 1
    assert form["learning_rate"]["exclusiveMinimum"] == 0 and "lora" in form["layers"]["enum"]


def test_the_form_asks_for_action_release_and_reason(dags):
    form = dags["rollback_release"]["params"]
    assert form["action"]["enum"] == ["rollback", "resume"]
    assert form["why"]["minLength"] == 3
    allowed = re.compile(form["release"]["pattern"])
    assert allowed.search("previous") and allowed.search("000012-0123456789")
    assert not allowed.search("$(reboot)") and not allowed.search("previous; ls")


def test_what_is_typed_into_a_form_is_never_part_of_the_command(dags):
    for task in (task for dag in dags.values() for task in dag["tasks"].values()):
        assert "{{" not in task["command"]
    assert dags["train_challenger"]["tasks"]["make-workspace"]["env"]["FORM"] == "{{ params | tojson }}"
    (task,) = dags["rollback_release"]["tasks"].values()
    assert "{{" not in task["command"]
    assert {task["env"][name] for name in ("ACTION", "RELEASE", "WHY")} == {
        "{{ params.action }}",
        "{{ params.release }}",
        "{{ params.why }}",
    }
