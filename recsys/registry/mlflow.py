"""The registry of encoders and releases; the only importer of mlflow. Aliases, not stages; files, never pickles."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from recsys.errors import RegistryError
from recsys.registry.http import unreachable, version_at
from recsys.registry.record import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "item-encoder"
"""Registered model name."""
CHAMPION = "champion"
"""Alias of the version that makes the published profiles."""
CHALLENGER = "challenger"
"""Alias of the version that wants to."""
ENCODERS_EXPERIMENT = "encoders"
RELEASES_EXPERIMENT = "releases"

# Tags of runs and versions by which a repeated call finds what an earlier one made.
HASH_TAG = "encoder_hash"
RELEASE_TAG = "release"
COMMIT_TAG = "code_commit"
FOLDER = "encoder"
PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000


@dataclass(frozen=True)
class RegisteredEncoder:
    """One version of the registered model."""

    model: str
    version: str
    run_id: str
    hash: str
    """Encoder hash: what the version is, whoever registered it."""


def champion(uri: str, model: str = MODEL) -> RegisteredEncoder | None:
    """The version that has the alias `champion`.

    Args:
        uri: MLflow's address.
        model: registered model name.

    Returns:
        The version, or None where no version has the alias.

    Raises:
        RegistryError: MLflow is out of reach, or the version carries no encoder hash.
    """
    found = version_at(uri, model, CHAMPION)
    if found is None:
        return None
    tags = {tag["key"]: tag["value"] for tag in found.get("tags", [])}
    return _registered(model, found["version"], found.get("run_id", ""), tags)


def register_encoder(
    uri: str, encoder_hash: str, folder: Path, record: RunRecord, model: str = MODEL
) -> RegisteredEncoder:
    """Keep a packed encoder as a version of the registered model, with the run that says where it came from.

    Safe to repeat: a version of the same encoder is found again; a run that was cut short is taken up again.

    Args:
        uri: MLflow's tracking and registry address.
        encoder_hash: identity of the encoder.
        folder: the packed encoder's files.
        record: parameters, data version and commit to keep beside it.
        model: registered model name.

    Returns:
        The one version of this encoder.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with _client(uri) as client:
        _ensure_model(client, model)
        if found := _versions(client, model, encoder_hash):
            return found[0]
        run_id = _open_run(
            client, ENCODERS_EXPERIMENT, {HASH_TAG: encoder_hash}, f"encoder {encoder_hash[:10]}"
        )
        _log(client, run_id, record)
        client.log_artifacts(run_id, str(folder), FOLDER)
        client.set_terminated(run_id)
        source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
        tags = {HASH_TAG: encoder_hash, COMMIT_TAG: record.code_commit, **record.tags}
        made = client.create_model_version(model, source, run_id, tags=tags, await_creation_for=0)
        first = _versions(client, model, encoder_hash)[0]
        if (
            first.version != made.version
        ):  # somebody registered the same encoder meanwhile: one version is enough
            client.delete_model_version(model, made.version)
        return first


def versions(uri: str, model: str = MODEL) -> tuple[RegisteredEncoder, ...]:
    """Every version of the registered model, oldest first; empty where the model is unknown."""
    with _client(uri) as client:
        return _versions(client, model)


def crown(uri: str, encoder: RegisteredEncoder) -> None:
    """Give a version the alias `champion`."""
    with _client(uri) as client:
        client.set_registered_model_alias(encoder.model, CHAMPION, encoder.version)


def download(uri: str, encoder: RegisteredEncoder, into: Path) -> Path:
    """Fetch the packed files of a version; the caller checks them and gives them their place.

    Args:
        uri: MLflow's address.
        encoder: the version.
        into: a folder is made below it, on the same file system as what will hold the files.

    Returns:
        The folder; it holds the packed encoder in a folder named by the encoder's hash.

    Raises:
        RegistryUnreachable: MLflow is out of reach or lacks the files.
    """
    into.mkdir(parents=True, exist_ok=True)
    staging = into / f".tmp-{uuid4().hex}"
    staging.mkdir()
    with _client(uri) as client:
        client.download_artifacts(encoder.run_id, FOLDER, str(staging))
    (staging / FOLDER).rename(staging / encoder.hash)
    return staging


def record_release(uri: str, release: str, record: RunRecord) -> str:
    """Log one run for a published release; a release that has its run already gets no second one.

    Args:
        uri: MLflow's tracking address.
        release: release id.
        record: params, metrics, plots, data.dvc, dvc.lock and commit; `texts` should hold the manifest.

    Returns:
        The run's id.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with _client(uri) as client:
        tags = {RELEASE_TAG: release}
        if finished := _runs(client, RELEASES_EXPERIMENT, tags, "FINISHED"):
            return finished[0]
        run_id = _open_run(client, RELEASES_EXPERIMENT, tags, f"release {release}")
        _log(client, run_id, record)
        client.set_terminated(run_id)
        return run_id


@contextmanager
def _client(uri: str) -> Iterator["MlflowClient"]:
    """A client that sends no telemetry and notices within seconds that MLflow is down."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault(
        "MLFLOW_HTTP_REQUEST_TIMEOUT", "60"
    )  # an upload of 90 MB is answered when it is stored
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    try:
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except (MlflowException, RequestException, OSError) as error:
        raise unreachable(uri, str(error)) from error


def _registered(model: str, version: str, run_id: str, tags: Mapping[str, str]) -> RegisteredEncoder:
    if HASH_TAG not in tags:
        remedy = "give the alias to a version that Firstlight registered"
        raise RegistryError(f"version {version} of {model} has no tag {HASH_TAG}", remedy=remedy)
    return RegisteredEncoder(model, str(version), run_id, tags[HASH_TAG])


def _ensure_model(client: "MlflowClient", model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model, description="Encoders that make item profiles.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _versions(
    client: "MlflowClient", model: str, encoder_hash: str | None = None
) -> tuple[RegisteredEncoder, ...]:
    found = client.search_model_versions(f"name = '{model}'", max_results=1000)
    known = [_registered(model, v.version, v.run_id, v.tags) for v in found if HASH_TAG in v.tags]
    return tuple(
        sorted(
            (v for v in known if encoder_hash in (None, v.hash)),
            key=lambda version: int(version.version),
        )
    )


def _experiment(client: "MlflowClient", name: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException as error:  # somebody was quicker
        found = client.get_experiment_by_name(name)
        if found is None:
            raise error
        return str(found.experiment_id)


def _runs(client: "MlflowClient", experiment: str, tags: Mapping[str, str], status: str) -> list[str]:
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = client.search_runs(
        [_experiment(client, experiment)],
        f"{wanted} and attributes.status = '{status}'",
        order_by=["start_time ASC"],
    )
    return [run.info.run_id for run in found]


def _open_run(client: "MlflowClient", experiment: str, tags: Mapping[str, str], name: str) -> str:
    """A run to write into: the one that was cut short, or a new one."""
    if unfinished := _runs(client, experiment, tags, "RUNNING"):
        return unfinished[0]
    run = client.create_run(_experiment(client, experiment), tags=dict(tags), run_name=name)
    return str(run.info.run_id)


def _log(client: "MlflowClient", run_id: str, record: RunRecord) -> None:
    from mlflow.entities import Metric, Param, RunTag

    params = [Param(key, str(value)[:6000]) for key, value in flatten(record.params).items()]
    # MLflow forbids @ in metric names; step 0 and time 0 make a repeated call write the same point.
    metrics = [Metric(key.replace("@", "_at_"), value, 0, 0) for key, value in record.metrics.items()]
    tags = [RunTag(key, value) for key, value in {COMMIT_TAG: record.code_commit, **record.tags}.items()]
    client.log_batch(run_id, tags=tags)
    for start in range(0, len(params), PARAMS_PER_CALL):
        client.log_batch(run_id, params=params[start : start + PARAMS_PER_CALL])
    for start in range(0, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])
    for name, text in record.texts.items():
        client.log_text(run_id, text, name)
    for name, path in record.files.items():
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
