"""Workspaces for single runs: code shared by the effects that make, use and remove them.

The fast loop writes to its workspace all the time. A run that takes hours (training) or uses another model (publishing
a new champion) works beside it, in a copy of code and settings. Copies share DVC's cache.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import yaml

from recsys.artifacts import Artifacts
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.storage.protocol import Storage

DATA = "data.dvc"
FEATURES, IMAGES = "features", "images"
"""Stages whose results every publication sends to the DVC remote."""
DONE = "done"
"""Below var/: the workspace's run has succeeded; it may be removed."""
BEGUN = "var/begun"
"""File with the number of interactions that were accepted when a workspace was made, in digits."""
GONE = ".gone-"
"""Prefix of a folder that is being removed."""
TRAINING = "train_challenger"
"""Kind of the workspaces that are made to train."""


def newest(storage: Storage) -> Manifest:
    """The newest release; under a hold this is the one that waits.

    Args:
        storage: where releases live.

    Returns:
        Its manifest.

    Raises:
        ReleaseError: nothing has been published.
    """
    store = ReleaseStore(storage)
    return store.manifest(store.current().current.head)


def locked_files(lock: str, stage: str, at: Artifacts, out: Path) -> int:
    """How many files a dvc.lock knows in a folder that a stage makes.

    Args:
        lock: text of a dvc.lock.
        stage: name in dvc.yaml.
        at: the workspace that the folder belongs to.
        out: the folder.

    Returns:
        The number; 0 where the stage has not run, or does not make that folder.
    """
    of_stage = yaml.safe_load(lock)["stages"].get(stage)
    outs = of_stage.get("outs") if isinstance(of_stage, dict) else None
    path = out.relative_to(at.root).as_posix()
    return next((int(one.get("nfiles", 0)) for one in outs or () if one["path"] == path), 0)


def begun(folder: Path) -> int:
    """Number of interactions that the largest unfinished or failed training began with.

    Args:
        folder: where workspaces are made, such as `Artifacts.workspaces`. It need not exist.

    Returns:
        The number; 0 where every training succeeded.
    """
    trainings = [path for path in folder.glob(f"{TRAINING}.*") if not (path / "var" / DONE).exists()]
    return max((int((path / BEGUN).read_text()) for path in trainings if (path / BEGUN).exists()), default=0)


def kind_of(root: Path) -> str:
    """Kind of a workspace: its name up to the first dot."""
    return root.name.partition(".")[0]


def workspaces_like(root: Path) -> list[Path]:
    """Workspaces of the same kind in the same folder, this one included."""
    return sorted(root.parent.glob(f"{kind_of(root)}.*"))


def remove(folder: Path, kind: str, doomed: Iterable[Path]) -> None:
    """Remove workspaces, and what a killed run left of earlier ones.

    A folder is renamed before it is deleted, so that under its own name a workspace is always complete.

    Args:
        folder: holds workspaces.
        kind: of those that are removed.
        doomed: their folders.
    """
    for path in doomed:
        path.rename(path.with_name(f"{GONE}{path.name}"))
    for path in folder.glob(f"{GONE}{kind}.*"):
        shutil.rmtree(path, ignore_errors=True)
