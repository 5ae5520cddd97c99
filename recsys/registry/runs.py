"""Runs in MLflow: find them by tags, continue unfinished ones, log records."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.registry.http import server_address, unreachable
from recsys.registry.record import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

COMMIT_TAG = "code_commit"
PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000


@contextmanager
def connect(uri: str) -> Iterator["MlflowClient"]:
    """Give a client that sends no telemetry and fails within seconds when MLflow is down.

    Args:
        uri: MLflow's tracking and registry address.

    Yields:
        The client.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses; so does whatever is done with the client.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault(
        "MLFLOW_HTTP_REQUEST_TIMEOUT", "60"
    )  # MLflow replies to an upload of 90 MB only once it is stored
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    address = server_address(uri)
    try:
        yield MlflowClient(tracking_uri=address, registry_uri=address)
    except (MlflowException, RequestException, OSError) as error:
        raise unreachable(uri, str(error)) from error


def experiment_id(client: "MlflowClient", name: str) -> str:
    """The experiment of that name; created where it does not exist."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:  # another process created it
        found = client.get_experiment_by_name(name)
        if found is None:
            raise error
        return str(found.experiment_id)


def runs_with(client: "MlflowClient", experiment: str, tags: Mapping[str, str], status: str) -> list[str]:
    """Find runs.

    Args:
        client: of `connect`.
        experiment: name; it is created where it does not exist.
        tags: that they have.
        status: of MLflow, such as RUNNING.

    Returns:
        Their ids, oldest first.
    """
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = client.search_runs(
        [experiment_id(client, experiment)],
        f"{wanted} and attributes.status = '{status}'",
        order_by=["start_time ASC"],
    )
    return [run.info.run_id for run in found]


def open_run(client: "MlflowClient", experiment: str, tags: Mapping[str, str], name: str) -> str:
    """Find an unfinished run to go on with, or create one.

    Args:
        client: of `connect`.
        experiment: name.
        tags: by which the run is found again after a kill.
        name: shown by MLflow.

    Returns:
        The run's id.
    """
    if unfinished := runs_with(client, experiment, tags, "RUNNING"):
        return unfinished[0]
    run = client.create_run(experiment_id(client, experiment), tags=dict(tags), run_name=name)
    return str(run.info.run_id)


def close_runs(client: "MlflowClient", experiment: str, tags: Mapping[str, str], kept: str) -> None:
    """End one run, and delete other unfinished runs with its tags.

    MLflow may create a run for a killed process a moment later, after the next process has looked for runs.

    Args:
        client: of `connect`.
        experiment: name.
        tags: of the run.
        kept: id of the run that is ended.
    """
    for run_id in runs_with(client, experiment, tags, "RUNNING"):
        if run_id == kept:
            client.set_terminated(run_id)
        else:
            client.delete_run(run_id)


def log_record(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    """Log a record. Safe to repeat."""
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(key, str(value)[:6000]) for key, value in flatten(record.params).items()]
    # MLflow forbids @ in metric names. With step 0 and time 0 a repeated call writes the same point.
    metrics = [Metric(key.replace("@", "_at_"), value, 0, 0) for key, value in record.metrics.items()]
    tags = [RunTag(key, value) for key, value in {COMMIT_TAG: record.code_commit, **record.tags}.items()]
    client.log_batch(run_id, tags=tags)
    for start in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL])
    for start in range(0, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
    for name, text in record.texts.items():
        client.log_text(run_id, text, name)
    log_files(client, run_id, record.files)


def log_files(client: "MlflowClient", run_id: str, files: Mapping[str, Path]) -> None:
    """Log files and folders under given names."""
    for name, path in files.items():
        _log_file(client, run_id, name, path)


def _log_file(client: "MlflowClient", run_id: str, name: str, path: Path) -> None:
    if path.is_dir():
        client.log_artifacts(run_id, str(path), name)
        return
    folder, _, wanted = name.rpartition("/")
    if wanted == path.name:
        client.log_artifact(run_id, str(path), folder or None)
        return
    with tempfile.TemporaryDirectory() as there:  # MLflow names an artifact after its file
        renamed = Path(there, wanted)
        renamed.symlink_to(path.resolve())
        client.log_artifact(run_id, str(renamed), folder or None)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections -> one level with dotted keys.

    >>> flatten({"gate": {"k": 1, "on": {"x": 2}}, "seed": 3})
    {'gate.k': 1, 'gate.on.x': 2, 'seed': 3}
    """
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat
