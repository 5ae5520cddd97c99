"""The two kinds of task: `stage` makes files from files, `effect` changes the world. Both only call a command."""

import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from alerts import tell_failure
from dvc_locks import mend_locks

WORKSPACE = Path(os.environ.get("RECSYS_WORKSPACE") or ".").resolve()

DEFAULTS: dict[str, Any] = {
    "owner": "firstlight",
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
    "execution_timeout": timedelta(hours=12),  # a first encode of a large catalogue; it resumes after a kill
    "on_failure_callback": tell_failure,  # Airflow calls it when no retry is left
}

# The commands run in the environment that runs Airflow, whatever PATH the worker was started with.
COMMANDS_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def stage(name: str, **kwargs: Any) -> BashOperator:  # noqa: ANN401  BashOperator's own
    """A DVC stage: makes files from files; DVC skips it when nothing it reads has changed.

    Args:
        name: as in dvc.yaml, such as `profiles@champion`; the @ becomes a hyphen in the task id.
        **kwargs: passed on to BashOperator.

    Returns:
        The task.
    """
    command = (
        f"exec dvc --wait-for-lock repro --single-item {name}"  # a neighbour holds DVC's lock for a second
    )
    return _command(name.replace("@", "-"), command, pre_execute=_mend, **kwargs)


def effect(name: str, **kwargs: Any) -> BashOperator:  # noqa: ANN401  BashOperator's own
    """A command that changes the world, safe to repeat; exit code 99 shows as skipped, not failed.

    Args:
        name: the command and its options, such as `ingest --skip-code`; its first word is the task id.
        **kwargs: passed on to BashOperator.

    Returns:
        The task.
    """
    return _command(name.split()[0], f"exec python -m recsys {name}", **kwargs)


def move_pointer() -> BashOperator:
    """Effect `rollback` or `resume`, as the form says; what was typed travels as variables, never as shell text.

    Who acts is the run: tried again, `previous` is then known as the same request and steps back once.
    """
    typed = {"ACTION": "{{ params.action }}", "RELEASE": "{{ params.release }}", "WHY": "{{ params.why }}"}
    typed |= {"RECSYS_WHO": "Airflow {{ run_id }}"}
    arguments = '$([ "$ACTION" = resume ] || echo "$RELEASE") --why "$WHY"'
    return _command("move-pointer", f'exec python -m recsys "$ACTION" {arguments}', env=typed)


def arrivals() -> Mapping[str, float]:
    """Section `arrivals` of the workspace's params.yaml; read when a DAG file is parsed, so without loading recsys."""
    section: Mapping[str, float] = yaml.safe_load((WORKSPACE / "params.yaml").read_text("utf-8"))["arrivals"]
    return section


def _command(task_id: str, command: str, env: Mapping[str, str] | None = None, **kwargs: Any) -> BashOperator:  # noqa: ANN401
    environment = {
        "PATH": COMMANDS_PATH,
        # Airflow gives tasks a socket as standard input. An outermost bash (SHLVL 0, as under systemd) takes that for a
        # remote login and reads ~/.bashrc, which may put another Python first.
        "SHLVL": "1",
        "RECSYS_WORKSPACE": str(WORKSPACE),
        "DVC_NO_ANALYTICS": "true",
    }
    return BashOperator(
        task_id=task_id,
        bash_command=command,
        cwd=str(WORKSPACE),
        env=environment | dict(env or {}),
        append_env=True,
        do_xcom_push=False,  # no data passes through XCom
        **kwargs,
    )


def _mend(context: Any) -> None:  # noqa: ANN401  Airflow's Context
    mend_locks(WORKSPACE)
