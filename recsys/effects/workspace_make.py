"""Effect `workspace make`: make a workspace for one run, pinned to one version of the data."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.effects.workspaces import (
    BEGUN,
    DATA,
    IMAGES,
    kind_of,
    locked_files,
    newest,
    remove,
    workspaces_like,
)
from recsys.errors import ArtifactMissing, ConfigError, StorageError
from recsys.publishing.recorded import recorded
from recsys.registry.due import n_interactions
from recsys.registry.record import COMMIT_FILE, code_commit
from recsys.settings import Settings
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

CODE = ("recsys", "dvc.yaml", ".dvcignore")
"""Code that stages run and depend on."""
DRAFT = ".tmp-"
"""Prefix of a folder that is not yet a complete workspace."""
CHALLENGER = {"finetune": {"roles": ["challenger"]}, "profiles": {"roles": ["champion", "challenger"]}}
"""Values of params.yaml by which a workspace trains."""


def workspace_make(
    at: Artifacts,
    into: Path,
    changes: Mapping[str, Mapping[str, Any]],
    *,
    train: bool = False,
    states: Storage | None = None,
    store: Storage | None = None,
) -> Artifacts:
    """Make a workspace that holds today's data, whatever arrives later.

    Safe to repeat: its data version is chosen once, so after a kill the same workspace is completed, on any worker.

    Args:
        at: code, settings and data.dvc are copied from this workspace.
        into: folder of the new one. A workspace that is already there stays as it is.
        changes: section -> key -> value, laid over params.yaml.
        train: also add the challenger to the sections that training needs, see CHALLENGER.
        states: RECSYS_STATE, where workers share no disk: the version of the data is that of the newest arrival, on
            whatever worker, and the workspace is stored there. None: `at` has it.
        store: where releases live; with `states`, the newest one says what need not be made again.

    Returns:
        The workspace; its data is laid out.

    Raises:
        ConfigError: a change breaks a bound or misspells a key; nothing was made.
        ArtifactMissing: nothing has been accepted yet.
        StorageError: DVC could not bring the data.
    """
    changes = _with_challenger(changes) if train else changes
    if states is not None:
        return _shared(states, at, into, lambda: _made(at, into, changes, _arrived(states, store)))
    if not at.data_dvc.exists():
        raise ArtifactMissing(
            f"{at.data_dvc} does not exist: nothing has been accepted yet", remedy="recsys ingest"
        )
    pinned = {path.name: path.read_text("utf-8") for path in (at.data_dvc, at.dvc_lock) if path.exists()}
    pinned[BEGUN] = str(n_interactions(at.data))
    return _made(at, into, changes, pinned)


def _arrived(states: Storage, store: Storage | None) -> dict[str, str]:
    """The version of the data that arrived last on any worker."""
    from recsys.effects.states import n_accepted, pinned

    found = pinned(states, store)
    if not found:
        raise ArtifactMissing(
            f"{states.url} knows no arrival: nothing has been accepted yet", remedy="recsys ingest"
        )
    return found | {BEGUN: str(n_accepted(states))}


def _shared(states: Storage, at: Artifacts, into: Path, make: Callable[[], Artifacts]) -> Artifacts:
    """The run's workspace: brought if another worker or a killed task has stored it; otherwise made here and stored."""
    from recsys.effects.states import run_state, sweep

    target = Artifacts(into.resolve())
    state = run_state(states, target)
    sweep(states, target.root.parent)
    if state.store.read(state.name) is None:
        make()
        if state.begin():
            return target
        shutil.rmtree(target.root)  # another worker has made the same run's workspace meanwhile
    state.bring(at)
    return target


def make_release_workspace(
    storage: Storage, at: Artifacts, into: Path, states: Storage | None = None
) -> Artifacts:
    """Make a workspace that holds the data of the newest release. Earlier ones of its kind are removed.

    Only one run at a time publishes a new model, and a failed run is repeated every few minutes. What failed runs leave
    must not fill the disk.

    Args:
        storage: where releases live.
        at: code and settings are copied from this workspace.
        into: folder of the new one. A workspace that is already there stays as it is.
        states: RECSYS_STATE, where workers share no disk: the workspace is stored there, and earlier ones are removed.

    Returns:
        The workspace; its data is laid out.

    Raises:
        ReleaseError: nothing has been published, or the release has no record of its data.
        StorageError: DVC could not bring the data.
    """
    pinned = recorded(newest(storage))
    root = into.resolve()
    remove(root.parent, kind_of(root), [path for path in workspaces_like(root) if path != root])
    if states is None:
        return _made(at, into, {}, pinned)
    from recsys.effects.states import remove_states_like

    remove_states_like(states, root, keep=root.name)
    return _shared(states, at, into, lambda: _made(at, into, {}, pinned))


def _with_challenger(changes: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {
        **changes,
        **{section: {**changes.get(section, {}), **keys} for section, keys in CHALLENGER.items()},
    }


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
            _copy_queries(at.root, draft, Settings.load(draft / at.params.name).search.queries)
            for name, text in pinned.items():
                write_whole(draft / name, text.encode())
            dvc.adopt_settings(at.root, draft, share_cache=True)
            draft.rename(target.root)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    dvc.bring(target.root, DATA)
    _bring_pictures(target)
    return target


def _bring_pictures(target: Artifacts) -> None:
    """Bring the pictures of items that were fetched. Pictures that DVC lacks are fetched again by stage `images`."""
    lock = target.dvc_lock
    if lock.exists() and locked_files(lock.read_text("utf-8"), IMAGES, target, target.pictures):
        with suppress(StorageError):
            dvc.bring(target.root, IMAGES)


def _write_settings(params: Path, changes: Mapping[str, Mapping[str, Any]], to: Path) -> None:
    """Write params.yaml with the changes applied, and check it."""
    values = yaml.safe_load(params.read_text("utf-8"))
    for section, keys in changes.items():
        if not isinstance(keys, Mapping) or section not in values:
            raise ConfigError(f"params.yaml has no section {section}", remedy="docs/reference.md lists them")
        values[section] |= keys
    write_whole(to, yaml.safe_dump(values, sort_keys=False, allow_unicode=True).encode())
    Settings.load(to)


def _copy_queries(root: Path, into: Path, named: str) -> None:
    """Copy the judged queries that params.yaml names within the workspace."""
    source = (root / named).resolve()
    if not named or not source.is_relative_to(root.resolve()):
        return
    if not source.is_file():
        raise ConfigError(
            f"search.queries: {source} does not exist", remedy="clear search.queries, or put it there"
        )
    target = into / source.relative_to(root.resolve())
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _copy_code(root: Path, into: Path) -> None:
    """Copy the code that stages run and depend on, and write down its commit."""
    for name in CODE:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, into / name)  # with its bytecode, which file times keep valid
        elif source.exists():
            shutil.copyfile(source, into / name)
    write_whole(into / COMMIT_FILE, (code_commit() + "\n").encode())
