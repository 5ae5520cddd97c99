"""Effect `restore`: bring back the data, features and pictures that a release was made of, from the DVC remote."""

import shutil
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.dvc import adopt_settings, pull
from recsys.effects.workspaces import FEATURES, IMAGES, locked_files
from recsys.errors import ReleaseError
from recsys.publishing.publish import published
from recsys.publishing.recorded import DATA_DVC, DVC_LOCK, recorded
from recsys.publishing.store import ReleaseStore
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage


def restore(storage: Storage, release: str, at: Artifacts, folder: Path | None) -> Path:
    """Write a release's data.dvc and dvc.lock, and pull what they name.

    Features of versions before details existed are not pulled; `dvc repro` makes them again.

    Args:
        storage: where releases live.
        release: its id.
        at: this workspace; its DVC settings (remote, credentials) are used.
        folder: a new or empty folder that becomes a workspace; None restores into `at` itself.

    Returns:
        The workspace that was restored.

    Raises:
        ReleaseError: the release is unknown or has no record of its data, the folder is not empty, or this workspace
            has parts that are not published yet.
        StorageError: DVC could not pull.
    """
    record = recorded(ReleaseStore(storage).manifest(release))
    if DVC_LOCK not in record:
        raise ReleaseError(
            f"release {release} was published from a workspace without data.dvc and dvc.lock",
            remedy="choose a release that was built by dvc repro",
        )
    target = at if folder is None else Artifacts(folder.resolve())
    if folder is None:
        _refuse_unpublished(at)
    else:
        _new_workspace(at, target)
    write_whole(target.data_dvc, record[DATA_DVC].encode())
    write_whole(target.dvc_lock, record[DVC_LOCK].encode())
    pull_recorded(record[DVC_LOCK], target, (DATA_DVC,))
    return target.root


def pull_recorded(lock: str, target: Artifacts, further: tuple[str, ...] = ()) -> None:
    """Pull what every publication pushes: features with their details, and pictures.

    Args:
        lock: text of the release's dvc.lock, which the workspace has.
        target: the workspace.
        further: other targets of DVC.

    Raises:
        StorageError: DVC could not pull.
    """
    # DVC brings all that a stage makes, or fails: features from before there were details are made again.
    stages = {FEATURES: target.details, IMAGES: target.pictures}
    wanted = [name for name, out in stages.items() if locked_files(lock, name, target, out)]
    if targets := (*further, *wanted):
        pull(target.root, targets)


def _refuse_unpublished(at: Artifacts) -> None:
    from recsys.catalogue.parts import all_parts

    last = published(at)
    waiting = sorted(
        {part.id for part in all_parts(at.data)} - {*last.get("parts", ()), *last.get("beside", ())}
    )
    if waiting:
        raise ReleaseError(
            f"this workspace has parts that are not published: {', '.join(waiting[:5])}",
            remedy="publish them first, or restore beside it with --to FOLDER",
        )


def _new_workspace(at: Artifacts, target: Artifacts) -> None:
    if target.root.exists() and any(target.root.iterdir()):
        raise ReleaseError(f"{target.root} is not empty", remedy="name a new folder")
    target.root.mkdir(parents=True, exist_ok=True)
    for path in (at.params, at.root / "dvc.yaml"):
        shutil.copyfile(path, target.root / path.name)
    adopt_settings(at.root, target.root)
