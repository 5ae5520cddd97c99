"""Effects `workspace make` and `workspace finish`: a workspace of its own for one run, pinned to one data version.

The fast loop writes to its workspace all the time. Whoever needs hours (training) or another model (publishing a new
champion) works beside it, in a copy of code and settings that nobody else touches. Copies share DVC's cache.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing, ConfigError
from recsys.publishing.recorded import recorded
from recsys.publishing.release import Manifest
from recsys.publishing.store import ReleaseStore
from recsys.registry.due import n_interactions
from recsys.registry.record import COMMIT_FILE, code_commit
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

CODE = ("recsys", "dvc.yaml", ".dvcignore")
"""What stages run and depend on."""
DONE = "done"
"""Below var/: the workspace's run has succeeded, it may go."""
DRAFT, GONE = ".tmp-", ".gone-"
"""Before a folder's name: not yet a workspace, no workspace any more."""
DATA = "data.dvc"
TRAINING = "train_challenger"
"""Kind of the workspaces that are made to train."""
BEGUN = "var/begun"
"""How many interactions were accepted when a workspace was made, as digits."""


def make_workspace(at: Artifacts, into: Path, changes: Mapping[str, Mapping[str, Any]]) -> Artifacts:
    """Make a workspace that holds the data of now, and keeps it whatever arrives.

    Made again after a kill it is the same one: its data version is chosen once.

    Args:
        at: the workspace to copy code and settings from, and whose data.dvc is pinned.
        into: the new one's folder; one that is a workspace already is taken as it is.
        changes: section -> key -> value, laid over its params.yaml.

    Returns:
        The workspace, its data laid out.

    Raises:
        ConfigError: a change breaks a bound or misspells a key; nothing has been made.
        ArtifactMissing: nothing has been accepted yet.
        StorageError: DVC could not bring the data.
    """
    if not at.data_dvc.exists():
        raise ArtifactMissing(
            f"{at.data_dvc} does not exist: nothing has been accepted yet", remedy="recsys ingest"
        )
    pinned = {path.name: path.read_text("utf-8") for path in (at.data_dvc, at.dvc_lock) if path.exists()}
    pinned[BEGUN] = str(n_interactions(at.data))
    return _made(at, into, changes, pinned)


def make_release_workspace(storage: Storage, at: Artifacts, into: Path) -> Artifacts:
    """Make a workspace that holds the data of the newest release; an earlier one of its kind goes.

    Only one at a time publishes a new encoder, and what failed is tried again every few minutes: those that failed must
    not fill the disk.

    Args:
        storage: where releases live.
        at: the workspace to copy code and settings from.
        into: the new one's folder; one that is a workspace already is taken as it is.

    Returns:
        The workspace, its data laid out.

    Raises:
        ReleaseError: nothing has been published, or the release has no record of its data.
        StorageError: DVC could not bring the data.
    """
    pinned = recorded(newest(storage))
    root = into.resolve()
    _remove(root.parent, _kind(root), [path for path in _beside(root) if path != root])
    return _made(at, into, {}, pinned)


def finish_workspace(at: Artifacts, keep: int) -> tuple[Path, ...]:
    """Say that this workspace's run has succeeded, and remove those beside it that are not wanted any more.

    Those of the same kind (their name up to the first dot) that succeeded go, but for the newest `keep`; one whose run
    failed stays, for a person to look at.

    Args:
        at: a workspace that was made here.
        keep: how many of those that succeeded stay.

    Returns:
        The folders that were removed.
    """
    if at.root.exists():  # it does not where a killed run has removed it
        write_whole(at.var / DONE, b"")
    done = [path for path in _beside(at.root) if (path / "var" / DONE).exists()]
    newest_first = sorted(
        done, key=lambda path: ((path / "var" / DONE).stat().st_mtime_ns, path.name), reverse=True
    )
    removed = tuple(newest_first[keep:])
    _remove(at.root.parent, _kind(at.root), removed)
    return removed


def begun(folder: Path) -> int:
    """Interactions of the trainings that have not ended well: they are under way, or they failed.

    Args:
        folder: where workspaces are made, such as `Artifacts.workspaces`; it need not exist.

    Returns:
        The most that one of them began with; 0 where there is none.
    """
    trainings = [path for path in folder.glob(f"{TRAINING}.*") if not (path / "var" / DONE).exists()]
    return max((int((path / BEGUN).read_text()) for path in trainings if (path / BEGUN).exists()), default=0)


def _kind(root: Path) -> str:
    return root.name.partition(".")[0]


def _beside(root: Path) -> list[Path]:
    """Workspaces of the same kind, this one included."""
    return sorted(root.parent.glob(f"{_kind(root)}.*"))


def _remove(folder: Path, kind: str, doomed: Iterable[Path]) -> None:
    """Renamed first, so that half a workspace is never met under its name; what a killed run left half goes too."""
    for path in doomed:
        path.rename(path.with_name(f"{GONE}{path.name}"))
    for path in folder.glob(f"{GONE}{kind}.*"):
        shutil.rmtree(path, ignore_errors=True)


def newest(storage: Storage) -> Manifest:
    """The newest release: under a hold the one that waits."""
    store = ReleaseStore(storage)
    return store.manifest(store.current().current.head)


def _made(
    at: Artifacts, into: Path, changes: Mapping[str, Mapping[str, Any]], pinned: Mapping[str, str]
) -> Artifacts:
    target = Artifacts(into.resolve())
    if not target.root.exists():
        draft = target.root.with_name(f"{DRAFT}{target.root.name}")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            _write_settings(at.params, changes, draft / at.params.name)
            _copy_code(at.root, draft)
            for name, text in pinned.items():
                write_whole(draft / name, text.encode())
            dvc.adopt_settings(at.root, draft, share_cache=True)
            draft.rename(target.root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    dvc.bring(target.root, DATA)
    return target


def _write_settings(params: Path, changes: Mapping[str, Mapping[str, Any]], to: Path) -> None:
    """params.yaml with the changes laid over it; what it means is checked before anything is made of it."""
    values = yaml.safe_load(params.read_text("utf-8"))
    for section, keys in changes.items():
        if not isinstance(keys, Mapping) or section not in values:
            raise ConfigError(f"params.yaml has no section {section}", remedy="docs/reference.md lists them")
        values[section] |= keys
    write_whole(to, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    Settings.load(to)


def _copy_code(root: Path, into: Path) -> None:
    """The code that stages run and depend on, and the commit that it is of."""
    for name in CODE:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, into / name)  # with its bytecode, which file times keep valid
        elif source.exists():
            shutil.copyfile(source, into / name)
    write_whole(into / COMMIT_FILE, (code_commit() + "\n").encode())
