"""Register a model as a version in MLflow: the files of its parts, and a run that records where it came from."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from recsys.models.packed import lay_out
from recsys.models.reference import ModelReference
from recsys.registry.mlflow import (
    ENCODERS_EXPERIMENT,
    FOLDER,
    HASH_TAG,
    MODEL,
    RegisteredVersion,
    versions_of,
)
from recsys.registry.record import RunRecord
from recsys.registry.runs import COMMIT_TAG, close_runs, connect, log_record, open_run
from recsys.storage.packed import STAGING

if TYPE_CHECKING:
    from mlflow import MlflowClient


def register_model(
    uri: str, model: ModelReference, cache: Path, record: RunRecord, name: str = MODEL
) -> RegisteredVersion:
    """Register a model with the files of all its parts.

    Args:
        uri: MLflow's tracking and registry address.
        model: packed in `cache`.
        cache: folder of packed parts.
        record: parameters, data version and commit to log with it.
        name: registered model name.

    Returns:
        The one version of this model.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
        ArtifactMissing: a part is not packed here.
    """
    encoders = cache / "encoders"  # half-made folders of killed processes are removed from there
    with TemporaryDirectory(prefix=STAGING, dir=encoders) as there:
        lay_out(model.model_copy(update={"registry": None}), cache, Path(there) / FOLDER)
        return register_folder(uri, model.hash, Path(there) / FOLDER, record, name)


def register_folder(
    uri: str, model_hash: str, folder: Path, record: RunRecord, model: str = MODEL
) -> RegisteredVersion:
    """Register a laid-out model, with a run that records where it came from.

    Safe to repeat: an existing version of the same model is returned, and an unfinished run is continued.

    Args:
        uri: MLflow's tracking and registry address.
        model_hash: of the model.
        folder: the laid-out model.
        record: parameters, data version and commit to log with it.
        model: registered model name.

    Returns:
        The one version of this model.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with connect(uri) as client:
        _ensure_model(client, model)
        named = {HASH_TAG: model_hash}
        if found := versions_of(client, model, model_hash):
            close_runs(client, ENCODERS_EXPERIMENT, named, found[0].run_id)
            return found[0]
        run_id = open_run(client, ENCODERS_EXPERIMENT, named, f"model {model_hash[:10]}")
        log_record(client, run_id, record)
        client.log_artifacts(run_id, str(folder), FOLDER)
        source = f"{client.get_run(run_id).info.artifact_uri}/{FOLDER}"
        tags = {HASH_TAG: model_hash, COMMIT_TAG: record.code_commit, **record.tags}
        made = client.create_model_version(model, source, run_id, tags=tags, await_creation_for=0)
        first = versions_of(client, model, model_hash)[0]
        if first.version != made.version:  # another process registered the same model meanwhile
            client.delete_model_version(model, made.version)
        # The run ends after its version exists, so an interrupted run is always found as unfinished.
        close_runs(client, ENCODERS_EXPERIMENT, named, first.run_id)
        return first


def _ensure_model(client: "MlflowClient", model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(model, description="Models that make item profiles and lists.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
