"""Effect `publish`: make a workspace's profiles, users and index the current release, and log it in MLflow."""

from dataclasses import dataclass
from functools import partial

from recsys.artifacts import Artifacts
from recsys.effects.workspaces import FEATURES, IMAGES, locked_files
from recsys.errors import RegistryError
from recsys.importing import without_pandas
from recsys.profiles.sites import sharing_of
from recsys.publishing.publish import Published, Publisher
from recsys.publishing.publish import publish as publish_release
from recsys.publishing.recorded import DATA_DVC
from recsys.settings import Settings
from recsys.storage.protocol import Storage


@dataclass(frozen=True)
class Recorded:
    """A publication, and whether MLflow has a record of it."""

    published: Published
    warning: str
    """Why MLflow has no record; empty where it has one, or where there is no registry."""


def publish(
    storage: Storage,
    at: Artifacts,
    chosen: Settings,
    who: str,
    uri: str | None,
    *,
    new_model: bool = False,
    yields: bool = False,
) -> Recorded:
    """Publish. Safe to repeat and to kill: the same content is not published twice.

    Args:
        storage: where releases live.
        at: the workspace.
        chosen: its settings.
        who: who publishes; kept with the pointer.
        uri: MLflow's address; None: there is no registry.
        new_model: publish although the newest release has another model.
        yields: publish nothing while somebody else publishes another model.

    Returns:
        The release, and a warning where MLflow could not log it.

    Raises:
        ArtifactMissing: a stage has not run.
        ReleaseError: a check failed, or artifacts do not fit together.
        OtherModel: the newest release has another model and a new one is not allowed, or one is being published now.
        StorageError: the store or the DVC remote cannot be reached.
    """
    publisher = publisher_of(at, chosen, who, new_model=new_model, yields=yields)
    with without_pandas():
        done = publish_release(storage, at, publisher)
    return Recorded(done, record(at, done, uri))


def publisher_of(
    at: Artifacts, chosen: Settings, who: str, *, new_model: bool = False, yields: bool = False
) -> Publisher:
    """Who publishes from a workspace, by which rules of params.yaml.

    Args:
        at: the workspace.
        chosen: its settings.
        who: who publishes.
        new_model: publish although the newest release has another model.
        yields: publish nothing while somebody else publishes another model.

    Returns:
        The publisher. It sends data and features to the DVC remote before it uploads anything.
    """
    from recsys.registry.record import code_commit

    return Publisher(
        params=chosen.publish,
        features=chosen.features,
        feedback=chosen.feedback,
        index=chosen.index,
        search=chosen.search,
        code_commit=code_commit(),
        sharing=sharing_of(at, chosen.users, chosen.privacy),
        by=who,
        new_model=new_model,
        yields=yields,
        before_upload=partial(push_data, at),
    )


def push_data(at: Artifacts) -> None:
    """Send data, features and pictures to the DVC remote, if there is one, so that every release can be restored.

    Args:
        at: the workspace.

    Raises:
        StorageError: the remote is out of reach.
    """
    from recsys.dvc import has_remote, push

    if not (at.root / ".dvc").is_dir() or not has_remote(at.root):
        return
    targets = [DATA_DVC] if at.data_dvc.is_file() else []
    if at.dvc_lock.is_file():
        targets.append(FEATURES)
        if locked_files(at.dvc_lock.read_text("utf-8"), IMAGES, at, at.pictures):
            targets.append(IMAGES)  # as `restore` pulls them
    if targets:
        push(at.root, tuple(targets))


def record(at: Artifacts, done: Published, uri: str | None) -> str:
    """Log a release in MLflow, also one that was published before: the run that published it may have been killed.

    Args:
        at: the workspace.
        done: what was published.
        uri: MLflow's address; None: there is no registry.

    Returns:
        Why MLflow has no record; empty where it has one, or where there is no registry. The release stands either way.
    """
    if not uri:
        return ""
    from recsys.registry.mlflow import record_release
    from recsys.registry.record import record_of

    metrics = {name: float(n) for name, n in (done.manifest.metrics or {}).items() if _is_number(n)}
    metrics |= {"index_recall": done.manifest.index_recall}
    if done.users_recall is not None:
        metrics["index_recall_users"] = done.users_recall
    try:
        record_release(uri, done.release, record_of(at, metrics))
    except RegistryError as error:
        return f"the release stands, but MLflow has no run for it: {error}"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
