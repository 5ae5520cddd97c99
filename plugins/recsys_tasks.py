"""The two kinds of task: a `stage` makes files from files, an `effect` changes the world."""

import logging
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from alerts import alert_failure

log = logging.getLogger(__name__)

WORKSPACE = Path(os.environ.get("RECSYS_WORKSPACE") or ".").resolve()
CACHE = Path(os.environ.get("RECSYS_CACHE") or WORKSPACE / "var/cache").resolve()
"""Vectors and packed encoders, for every workspace of this machine."""
WORKSPACES = Path(os.environ.get("RECSYS_WORKSPACES") or WORKSPACE / "var/workspaces").resolve()
SHARES_DISK = not os.environ.get("RECSYS_STATE")
"""Whether all workers see the same disk. Otherwise a run's workspace travels by way of RECSYS_STATE."""
OWN = f"{WORKSPACES}/{{{{ dag.dag_id }}}}.{{{{ run_id | replace(':', '-') | replace('+', '-') }}}}"
"""Template: the workspace of one run, the same one in every try of every task."""

DEFAULTS: dict[str, Any] = {
    "owner": "firstlight",
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
    "on_failure_callback": alert_failure,  # Airflow calls it when no retry is left
}

# The commands run in the environment that runs Airflow, whatever PATH the worker was started with.
COMMANDS_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def stage(name: str, *, workspace: str | None = None, **kwargs: Any) -> BashOperator:  # noqa: ANN401  BashOperator's own
    """A DVC stage: makes files from files; DVC skips it when nothing it reads has changed.

    Args:
        name: as in dvc.yaml, such as `profiles@champion`; the @ becomes a hyphen in the task id.
        workspace: where it runs, such as OWN; None: in WORKSPACE.
        **kwargs: passed on to BashOperator.

    Returns:
        The task.
    """
    # --wait-for-lock: a neighbour holds DVC's lock for a second.
    command = f"exec dvc --wait-for-lock repro --single-item {name}"
    kwargs.setdefault("execution_timeout", limits(name.partition("@")[0]))
    return _command(name.replace("@", "-"), command, workspace=workspace, pre_execute=_mend, **kwargs)


def effect(
    name: str,
    *,
    task_id: str | None = None,
    arguments: str = "",
    workspace: str | None = None,
    **kwargs: Any,  # noqa: ANN401  BashOperator's own
) -> BashOperator:
    """A command that changes the world, safe to repeat; exit code 99 shows as skipped, not failed.

    Args:
        name: the command and its options, such as `ingest --skip-code`.
        task_id: None: the command's first word.
        arguments: further ones as shell text: variables of `env` in quotes, never what somebody typed.
        workspace: where it runs, such as OWN; None: in WORKSPACE.
        **kwargs: passed on to BashOperator.

    Returns:
        The task.
    """
    command = f"exec python -m recsys {name} {arguments}".rstrip()
    kwargs.setdefault("execution_timeout", limits(name.split()[0]))
    kwargs.setdefault("pre_execute", _mend)  # some call DVC, and come before any stage does
    return _command(task_id or name.split()[0], command, workspace=workspace, **kwargs)


def move_pointer() -> BashOperator:
    """Effect `rollback` or `resume`, as the form says; what was typed travels as variables, never as shell text.

    Who acts is the run: tried again, `previous` is then known as the same request and steps back once.
    """
    typed = {"ACTION": "{{ params.action }}", "RELEASE": "{{ params.release }}", "WHY": "{{ params.why }}"}
    typed |= {"RECSYS_WHO": "Airflow {{ run_id }}"}
    arguments = '$([ "$ACTION" = resume ] || echo "$RELEASE") --why "$WHY"'
    command = f'exec python -m recsys "$ACTION" {arguments}'
    return _command("move-pointer", command, env=typed, execution_timeout=limits("rollback"))


def limits(*names: str) -> timedelta:
    """How long a try of stages and commands may take together: section `tasks` of params.yaml."""
    chosen = section("tasks")
    return timedelta(minutes=sum(chosen["limits_min"].get(name, chosen["limit_min"]) for name in names))


def section(name: str) -> Mapping[str, Any]:
    """A section of the workspace's params.yaml; read when a DAG file is parsed, so without loading recsys."""
    found: dict[str, dict[str, Any]] = yaml.safe_load((WORKSPACE / "params.yaml").read_text("utf-8"))
    return _Section(name, found.get(name) or {})


class _Section(dict[str, Any]):
    """Values by key; a missing key raises an error with its full name."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._name = name

    def __missing__(self, key: str) -> Any:  # noqa: ANN401  never returns
        raise KeyError(
            f"{WORKSPACE / 'params.yaml'} lacks {self._name}.{key}; `recsys doctor` shows the line to add"
        )


def _command(
    task_id: str,
    command: str,
    workspace: str | None = None,
    env: Mapping[str, str] | None = None,
    **kwargs: Any,  # noqa: ANN401  BashOperator's own
) -> BashOperator:
    place = workspace or str(WORKSPACE)
    if workspace and not SHARES_DISK:
        command = f"exec python -m recsys workspace sync -- {command.removeprefix('exec ')}"
    environment = {
        "PATH": COMMANDS_PATH,
        # Airflow gives tasks a socket as standard input. An outermost bash (SHLVL 0, as under systemd) takes that for a
        # remote login and reads ~/.bashrc, which may put another Python first.
        "SHLVL": "1",
        "RECSYS_WORKSPACE": place,
        "DVC_NO_ANALYTICS": "true",
    }
    if workspace:
        environment["RECSYS_CACHE"] = str(CACHE)
    return BashOperator(
        task_id=task_id,
        bash_command=command,
        cwd=place if SHARES_DISK else str(WORKSPACE),  # a run's workspace need not be here yet
        env=environment | dict(env or {}),
        append_env=True,
        do_xcom_push=False,  # no data passes through XCom
        **kwargs,
    )


def _mend(context: Any) -> None:  # noqa: ANN401  Airflow's Context
    from recsys.dvc import repair

    if repair(Path(context["task"].cwd)):
        log.warning("moved dvc.lock aside, torn by a kill: stages run again, and find what they have made")
