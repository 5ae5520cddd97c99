"""Models and releases in MLflow. Versions have aliases, not stages; models are files, never pickles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import ValidationError

from recsys.errors import RegistryError
from recsys.evaluation.provenance import TrainedOn
from recsys.registry.http import version_at
from recsys.registry.record import RunRecord
from recsys.registry.runs import (
    close_runs,
    connect,
    log_files,
    log_record,
    open_run,
    runs_with,
)
from recsys.storage.packed import STAGING

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "item-encoder"
"""Registered model name."""
CHAMPION = "champion"
"""Alias of the version that arrivals are profiled and published with."""
CHALLENGER = "challenger"
"""Alias of the version that may replace it."""
ENCODERS_EXPERIMENT = "encoders"
RELEASES_EXPERIMENT = "releases"

# Tags of runs and versions by which a repeated call finds what an earlier one made.
HASH_TAG = "encoder_hash"
RELEASE_TAG = "release"
FOLDER = "model"
"""Among a run's artifacts: the laid-out model, with a folder per part."""
LEGACY_FOLDER = "encoder"
"""The folder of versions from before models had parts; it holds all files."""
INTERACTIONS_TAG = "n_interactions"
"""Tag of a version: number of interactions accepted in the workspace that registered it; no tag means none."""
FIRST_LIGHT_TAG = "first_light"
"""Tag of a version that was never trained: from how many texts it was made, or that it is the encoder alone."""
TRAINED_TAGS = ("trained_on", "trained_until", "held_out_by")
"""Tags of a version: what it was trained on; no tags mean that it was not trained."""


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of the registered model."""

    model: str
    version: str
    run_id: str
    hash: str
    """Model hash; it identifies the model, whoever registered it."""
    trained: TrainedOn
    """What it was trained on."""
    is_first_light: bool = False
    """Whether it was made without training."""
    folder: str = FOLDER
    """Folder of its files among the run's artifacts."""


def champion(uri: str, model: str = MODEL) -> RegisteredVersion | None:
    """The version that has the alias `champion`.

    Args:
        uri: MLflow's address.
        model: registered model name.

    Returns:
        The version, or None where no version has the alias.

    Raises:
        RegistryError: MLflow is out of reach, or the version has no model hash.
    """
    return with_alias(uri, CHAMPION, model)


def with_alias(uri: str, alias: str, model: str = MODEL) -> RegisteredVersion | None:
    """The version that has an alias; found without importing mlflow.

    Args:
        uri: MLflow's address.
        alias: champion or challenger.
        model: registered model name.

    Returns:
        The version, or None where no version has the alias.

    Raises:
        RegistryError: MLflow is out of reach, or the version has no model hash: Firstlight did not register it.
    """
    found = version_at(uri, model, alias)
    if found is None:
        return None
    return _registered(
        model, found["version"], found.get("run_id", ""), tags_of(found), found.get("source", "")
    )


def tags_of(version: Mapping[str, Any]) -> dict[str, str]:
    """The tags of a version as MLflow's REST API gives it."""
    return {tag["key"]: tag["value"] for tag in version.get("tags", [])}


def count_interactions(uri: str, registered: RegisteredVersion, n: int) -> None:
    """Record how many interactions a version was trained on. A later count replaces an earlier one.

    Args:
        uri: MLflow's address.
        registered: the version.
        n: the count.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with connect(uri) as client:
        client.set_model_version_tag(registered.model, registered.version, INTERACTIONS_TAG, str(n))


def add_files(uri: str, registered: RegisteredVersion, files: Mapping[str, Path]) -> None:
    """Add artifacts to an existing version, such as a newer decision of the gate.

    Args:
        uri: MLflow's address.
        registered: the version.
        files: artifact path -> file or folder.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with connect(uri) as client:
        log_files(client, registered.run_id, files)


def read_file(uri: str, registered: RegisteredVersion, name: str) -> bytes | None:
    """Read one artifact of a version.

    Args:
        uri: MLflow's address.
        registered: the version.
        name: artifact path, such as gate/decision.json.

    Returns:
        Its bytes, or None where the version has no such file.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with connect(uri) as client, TemporaryDirectory() as there:
        listed = client.list_artifacts(registered.run_id, name.rpartition("/")[0] or None)
        if name not in {found.path for found in listed}:
            return None
        return Path(client.download_artifacts(registered.run_id, name, there)).read_bytes()


def versions(uri: str, model: str = MODEL) -> tuple[RegisteredVersion, ...]:
    """Every version of the registered model, oldest first; empty where the model is unknown."""
    with connect(uri) as client:
        return versions_of(client, model)


def download(uri: str, registered: RegisteredVersion, into: Path) -> Path:
    """Download the files of a version. The caller checks and moves them.

    Args:
        uri: MLflow's address.
        registered: the version.
        into: a new folder is made below it; it should be on the file system of the files' final place.

    Returns:
        The new folder; the files are in its subfolder `registered.folder`.

    Raises:
        RegistryUnreachable: MLflow is out of reach or lacks the files.
        RegistryError: the version's tag is not a hash, and could name another folder.
    """
    if not re.fullmatch("[0-9a-f]{64}", registered.hash):
        raise RegistryError(
            f"version {registered.version} of {registered.model} has tag {HASH_TAG} {registered.hash[:80]!r}, "
            "which is not a hash",
            remedy="give the alias to a version that Firstlight registered: `recsys ledger` lists those it had",
        )
    into.mkdir(parents=True, exist_ok=True)
    staging = into / f"{STAGING}{uuid4().hex}"
    staging.mkdir()
    with connect(uri) as client:
        client.download_artifacts(registered.run_id, registered.folder, str(staging))
    return staging


def record_release(uri: str, release: str, record: RunRecord) -> str:
    """Log one run for a published release. Safe to repeat: a release gets no second run.

    Args:
        uri: MLflow's tracking address.
        release: release id.
        record: params, metrics, plots, data.dvc, dvc.lock and commit; `texts` should hold the manifest.

    Returns:
        The run's id.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
    """
    with connect(uri) as client:
        tags = {RELEASE_TAG: release}
        if finished := runs_with(client, RELEASES_EXPERIMENT, tags, "FINISHED"):
            close_runs(client, RELEASES_EXPERIMENT, tags, finished[0])
            return finished[0]
        run_id = open_run(client, RELEASES_EXPERIMENT, tags, f"release {release}")
        log_record(client, run_id, record)
        close_runs(client, RELEASES_EXPERIMENT, tags, run_id)
        return run_id


def trained_tags(trained: TrainedOn) -> dict[str, str]:
    """Tags that tell what a version was trained on; none for one that was not trained."""
    fields = trained.model_dump(mode="json", include=set(TRAINED_TAGS), exclude_none=True)
    return {key: str(value) for key, value in fields.items()}


def _registered(
    model: str, version: str, run_id: str, tags: Mapping[str, str], source: str
) -> RegisteredVersion:
    remedy = "give the alias to a version that Firstlight registered: `recsys ledger` lists those it had"
    if HASH_TAG not in tags:
        raise RegistryError(f"version {version} of {model} has no tag {HASH_TAG}", remedy=remedy)
    fields = {key: tags[key] for key in TRAINED_TAGS if key in tags}
    try:
        trained = TrainedOn.model_validate(fields | {"model_hash": tags[HASH_TAG]})
    except ValidationError as error:
        words = f"version {version} of {model} has an invalid tag {error.errors()[0]['loc'][0]}"
        raise RegistryError(words, remedy=remedy) from error
    folder = LEGACY_FOLDER if source.endswith(f"/{LEGACY_FOLDER}") else FOLDER
    return RegisteredVersion(
        model, str(version), run_id, tags[HASH_TAG], trained, FIRST_LIGHT_TAG in tags, folder
    )


def versions_of(
    client: "MlflowClient", model: str, model_hash: str | None = None
) -> tuple[RegisteredVersion, ...]:
    """Versions of the registered model, oldest first.

    Args:
        client: of an open connection.
        model: registered model name.
        model_hash: only versions of this model; None: all.

    Returns:
        Those that Firstlight registered.
    """
    found = client.search_model_versions(f"name = '{model}'", max_results=1000)
    known = [_registered(model, v.version, v.run_id, v.tags, v.source) for v in found if HASH_TAG in v.tags]
    return tuple(
        sorted(
            (v for v in known if model_hash in (None, v.hash)),
            key=lambda version: int(version.version),
        )
    )
