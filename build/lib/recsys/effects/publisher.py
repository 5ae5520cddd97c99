"""What `publish` and `catch-up` share: who publishes from a workspace, and the record of a release in MLflow."""

from functools import partial

from recsys.artifacts import Artifacts
from recsys.errors import RegistryError
from recsys.publishing.publish import Published, Publisher
from recsys.settings import Settings


def publisher_of(
    at: Artifacts, chosen: Settings, who: str, *, new_encoder: bool = False, gives_way: bool = False
) -> Publisher:
    """Who publishes from a workspace, by its params.yaml.

    Args:
        at: the workspace.
        chosen: its settings.
        who: for the pointer's record.
        new_encoder: publish although the newest release has another model.
        gives_way: leave without publishing where somebody publishes another model.

    Returns:
        The publisher; it sends data and features to the DVC remote before anything is uploaded.
    """
    from recsys.registry.record import code_commit

    return Publisher(
        params=chosen.publish,
        features=chosen.features,
        feedback=chosen.feedback,
        index=chosen.index,
        code_commit=code_commit(),
        by=who,
        new_encoder=new_encoder,
        gives_way=gives_way,
        before_upload=partial(push_data, at),
    )


def push_data(at: Artifacts) -> None:
    """Send data and features to the DVC remote, if there is one, so that whatever is published can be restored.

    Args:
        at: the workspace.

    Raises:
        StorageError: the remote is out of reach.
    """
    from recsys.dvc import has_remote, push

    if not (at.root / ".dvc").is_dir() or not has_remote(at.root):
        return
    targets = {"data.dvc": at.data_dvc, "features": at.dvc_lock}
    if there := tuple(name for name, file in targets.items() if file.is_file()):
        push(at.root, there)


def record(at: Artifacts, done: Published, uri: str | None) -> str:
    """Log a release in MLflow. Called after every publication: an earlier run may have been killed before it got here.

    Args:
        at: the workspace.
        done: what was published.
        uri: MLflow's address; None: there is no registry.

    Returns:
        Why there is no record; empty where there is one, or no registry. The release stands either way.
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
