import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tasks(plugin, monkeypatch):
    module = plugin("recsys_tasks")
    monkeypatch.setattr(module, "WORKSPACE", ROOT)
    return module


def run_as_airflow_does(task, home, **changes):
    """Bash gets a socket as standard input and nobody above it that counts shells."""
    environment = {name: value for name, value in os.environ.items() if name != "SHLVL"}
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return subprocess.run(
            ["bash", "-c", task.bash_command],
            env=environment | {"HOME": str(home)} | task.env | changes,
            cwd=task.cwd,
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )


def test_a_task_runs_in_airflows_own_python_whatever_bashrc_says(tasks, tmp_path):
    (tmp_path / ".bashrc").write_text("export PATH=/nowhere\n")
    task = tasks.effect("plan --help")
    done = run_as_airflow_does(task, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage: python -m recsys plan" in done.stdout
    assert run_as_airflow_does(task, tmp_path, SHLVL="0").returncode == 127  # so the trap is real


def test_a_stage_becomes_one_dvc_command_and_a_task_id_without_an_at(tasks):
    task = tasks.stage("profiles@champion", pool="default_pool")
    assert task.task_id == "profiles-champion" and task.pool == "default_pool"
    assert task.bash_command == "exec dvc --wait-for-lock repro --single-item profiles@champion"


def test_a_command_of_several_steps_has_the_sum_of_their_limits(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "WORKSPACE", tmp_path)
    (tmp_path / "params.yaml").write_text("tasks: {limit_min: 7, limits_min: {profiles: 70}}\n")
    assert tasks.limits("features", "profiles").total_seconds() == 77 * 60


def test_an_effect_is_named_by_its_command_and_may_bring_variables(tasks):
    task = tasks.effect("ingest --skip-code", env={"EXTRA": "1"})
    assert task.task_id == "ingest" and task.bash_command == "exec python -m recsys ingest --skip-code"
    assert task.env["EXTRA"] == "1" and task.env["PATH"].startswith(str(Path(sys.executable).parent))
    assert task.append_env and not task.do_xcom_push and 99 in task.skip_on_exit_code


def test_a_person_can_set_poll_and_sweep_in_params_yaml(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "WORKSPACE", tmp_path)
    (tmp_path / "params.yaml").write_text("arrivals: {poll_s: 7, sweep_s: 70}\n")
    assert tasks.section("arrivals") == {"poll_s": 7, "sweep_s": 70}


def test_each_task_has_a_limit_that_fits_it(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "WORKSPACE", tmp_path)
    (tmp_path / "params.yaml").write_text("tasks: {limit_min: 7, limits_min: {profiles: 70, ingest: 30}}\n")
    minutes = {
        task.task_id: task.execution_timeout.total_seconds() / 60
        for task in (
            tasks.stage("profiles@champion"),
            tasks.stage("gate"),
            tasks.effect("ingest --skip-code"),
            tasks.effect("publish", task_id="swap"),
            tasks.move_pointer(),
        )
    }
    assert minutes == {"profiles-champion": 70, "gate": 7, "ingest": 30, "swap": 7, "move-pointer": 7}


def test_a_key_that_params_yaml_lacks_is_missed_by_its_full_name(tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(tasks, "WORKSPACE", tmp_path)
    (tmp_path / "params.yaml").write_text("tasks: {limits_min: {}}\n")
    with pytest.raises(KeyError, match=r"lacks tasks\.limit_min; `recsys doctor` shows the line"):
        tasks.stage("gate")


def test_a_task_of_a_run_works_in_the_runs_own_workspace_with_the_shared_cache(tasks):
    task = tasks.stage("finetune", workspace=tasks.OWN, pool="gpu")
    assert task.cwd == task.env["RECSYS_WORKSPACE"] == tasks.OWN and task.pool == "gpu"
    assert task.env["RECSYS_CACHE"] == str(tasks.CACHE) and "run_id" in tasks.OWN
    assert "RECSYS_CACHE" not in tasks.effect("ingest").env  # the fast loop's is its own
    made = tasks.effect("workspace make", task_id="make-workspace", arguments='"$OWN"', env={"OWN": "x y"})
    assert made.task_id == "make-workspace" and made.env["OWN"] == "x y"
    assert made.bash_command == 'exec python -m recsys workspace make "$OWN"'


@pytest.mark.parametrize(
    ("action", "expected"), [("rollback", ["rollback", "previous"]), ("resume", ["resume"])]
)
def test_the_form_becomes_arguments_and_nothing_that_was_typed_is_run(tasks, tmp_path, action, expected):
    typed = "'; touch pwned; \" $(touch pwned) `touch pwned`"
    show = tmp_path / "python"
    show.write_text('#!/bin/sh\nfor one in "$@"; do printf "%s\\n" "$one"; done\n')
    show.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = run_as_airflow_does(
        tasks.move_pointer(), tmp_path, PATH=path, ACTION=action, RELEASE="previous", WHY=typed
    )
    assert done.stdout.splitlines() == ["-m", "recsys", *expected, "--why", typed]
    assert not (ROOT / "pwned").exists()


def test_a_rollback_that_is_tried_again_is_known_as_the_same_request(tasks):
    assert tasks.move_pointer().env["RECSYS_WHO"] == "Airflow {{ run_id }}"


@pytest.mark.parametrize("kind", ["stage", "effect"])
def test_before_its_command_a_task_mends_what_a_killed_dvc_left(tasks, tmp_path, kind):
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text("")
    (tmp_path / ".dvc/tmp/rwlock").write_text("")
    task = getattr(tasks, kind)("ingest", workspace=str(tmp_path))
    task._pre_execute_hook({"task": task})
    assert not (tmp_path / "dvc.lock").exists() and not (tmp_path / ".dvc/tmp/rwlock").exists()


def test_where_no_disk_is_shared_a_task_brings_the_runs_workspace_and_starts_where_there_is_one(
    tasks, monkeypatch
):
    monkeypatch.setattr(tasks, "SHARES_DISK", False)
    task = tasks.stage("finetune", workspace=tasks.OWN)
    assert task.bash_command == (
        "exec python -m recsys workspace sync -- dvc --wait-for-lock repro --single-item finetune"
    )
    assert task.cwd == str(ROOT) and task.env["RECSYS_WORKSPACE"] == tasks.OWN  # which need not be here yet
    assert tasks.effect("arrive --skip-code").bash_command == "exec python -m recsys arrive --skip-code"
