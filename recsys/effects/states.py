"""States of workspaces, for workers that share no disk: code shared by the effects that bring and store them.

RECSYS_STATE names a folder or a bucket that all workers reach. If it is not set, all workers share a disk.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.catalogue.tracking import track
from recsys.effects.restore import pull_recorded
from recsys.effects.workspaces import TRAINING, kind_of, newest, remove
from recsys.errors import ReleaseError
from recsys.publishing.published_model import bring_model, bring_profiles
from recsys.publishing.recorded import DATA_DVC, DVC_LOCK, recorded
from recsys.publishing.store import ReleaseStore
from recsys.registry.record import COMMIT_FILE
from recsys.state.scope import ARRIVALS, RUN, WATCH
from recsys.state.store import StateStore
from recsys.state.sync import Moved, Sync
from recsys.state.vectors import exchange_vectors
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

OF_ARRIVALS, OF_WATCH = "arrivals", "watch"
"""Names of the states that belong to no run."""


def is_of_a_run(at: Artifacts) -> bool:
    """Whether it is a workspace of `workspace make`."""
    return (at.root / COMMIT_FILE).exists()


def run_state(storage: Storage, at: Artifacts) -> Sync:
    """The state of a run's workspace, named like its folder."""
    return Sync(StateStore(storage), at.root.name, at, RUN)


def arrivals_state(storage: Storage, at: Artifacts) -> Sync:
    """The state of the workspace of arrivals."""
    return Sync(StateStore(storage), OF_ARRIVALS, at, ARRIVALS)


def watch_state(storage: Storage, at: Artifacts) -> Sync:
    """What `recsys watch` remembers."""
    return Sync(StateStore(storage), OF_WATCH, at, WATCH)


@contextmanager
def arriving(at: Artifacts, *, waits: bool = True) -> Iterator[bool]:
    """Hold the lock of this machine on the workspace of arrivals.

    Args:
        at: the workspace.
        waits: wait for another one to end.

    Yields:
        Whether there is no other one.
    """
    at.var.mkdir(parents=True, exist_ok=True)
    lock = FileLock(at.var / "arriving.lock")
    try:
        lock.acquire(timeout=-1 if waits else 0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def bring_arrivals(state: Sync, store: Storage | None) -> Moved:
    """Bring the newest state of arrivals: accepted data, and the inputs of the newest release.

    Args:
        state: of arrivals.
        store: where releases live; None: features and profiles are made again.

    Returns:
        What was brought; nothing where this worker stored the newest state itself.

    Raises:
        ReleaseError: the newest release is damaged.
        StorageError: a store or DVC's remote is out of reach.
    """
    at = state.at
    moved = state.bring(further=partial(_bring_release, store, at))
    is_new = not at.data_dvc.exists() and state.store.written(state.name) is None
    if is_new and _bring_release(store, at, (DATA_DVC,)):  # what was published before there were states
        moved = Moved(changed=True)
    if moved.changed:
        exchange_vectors(state.store.storage, at)
    return moved


def _bring_release(store: Storage | None, at: Artifacts, further: tuple[str, ...] = ()) -> bool:
    """Bring features, pictures, model and profiles of the newest release, so that nothing is encoded again.

    Args:
        store: where releases live.
        at: the workspace.
        further: files of the release's record that are taken as well.

    Returns:
        Whether there is a release.
    """
    if store is None or ReleaseStore(store).pointer() is None:
        return False
    record = recorded(newest(store))
    if DVC_LOCK in record:
        dvc.repair(at.root)
        for name in (DVC_LOCK, *further):
            write_whole(at.root / name, record[name].encode())
        pull_recorded(record[DVC_LOCK], at, further)
    if (model := bring_model(store, at)) is not None:
        bring_profiles(store, at, model)
    return True


def keep_arrivals(state: Sync) -> Moved:
    """Store what was accepted, so that another worker can continue from it.

    Args:
        state: of arrivals.

    Returns:
        What was stored.

    Raises:
        StateMoved: another worker has gone on meanwhile.
        StorageError: DVC refused, or a store is out of reach.
    """
    track(state.at)
    return state.keep()


def finish_arrival(state: Sync) -> None:
    """Store what a published arrival leaves for the next one, and the vectors of its texts.

    Args:
        state: of arrivals.

    Raises:
        StateMoved: another worker has gone on meanwhile. What was published stands.
        StorageError: a store is out of reach.
    """
    keep_arrivals(state)
    exchange_vectors(state.store.storage, state.at)


@contextmanager
def changing_data(state: Sync | None, store: Storage | None) -> Iterator[None]:
    """Bring the newest state before a command that was typed by hand changes data/, and store the result.

    Args:
        state: of arrivals; None: all workers see the same disk, and nothing happens.
        store: where releases live.

    Yields:
        Nothing; no other process of this machine changes the workspace meanwhile.

    Raises:
        StateMoved: another worker has gone on meanwhile.
        StorageError: a store or DVC's remote is out of reach.
    """
    if state is None:
        yield
        return
    with arriving(state.at):
        bring_arrivals(state, store)
        yield
        finish_arrival(state)


def n_accepted(storage: Storage) -> int:
    """Number of accepted interactions of all arrivals."""
    found = StateStore(storage).read(OF_ARRIVALS)
    return found[0].n_interactions if found else 0


def n_begun(storage: Storage) -> int:
    """Interactions that the largest unfinished or failed training began with; 0 where every training succeeded."""
    store = StateStore(storage)
    found = [pair[0] for name in store.names(f"{TRAINING}.") if (pair := store.read(name))]
    return max((state.n_interactions for state in found if not state.done), default=0)


def finish_run(storage: Storage, at: Artifacts, keep: int) -> tuple[str, ...]:
    """Record in the store that a run has succeeded; remove the states of earlier ones of its kind, and stray objects.

    Args:
        storage: RECSYS_STATE.
        at: the run's workspace; it need not be on this machine.
        keep: how many successful ones of its kind stay.

    Returns:
        Names of the states that were removed. Their folders go from each worker with its next run.
    """
    store, own = StateStore(storage), run_state(storage, at)
    own.mark_done()
    found = {name: store.read(name) for name in store.names(f"{kind_of(at.root)}.")}
    done = [name for name, pair in found.items() if pair and pair[0].done]
    times = {name: stored.modified for name in done if (stored := store.written(name))}
    newest_first = sorted(times, key=lambda name: (times[name], name), reverse=True)
    removed = tuple(newest_first[keep:])
    for name in removed:
        store.remove(name)
    store.tidy()
    sweep(storage, at.root.parent)
    return removed


def remove_states_like(storage: Storage, root: Path, keep: str) -> None:
    """Remove the states of a kind of run but one.

    Args:
        storage: RECSYS_STATE.
        root: folder of a workspace of that kind.
        keep: name of the state that stays.
    """
    store = StateStore(storage)
    for name in store.names(f"{kind_of(root)}."):
        if name != keep:
            store.remove(name)


def sweep(storage: Storage, folder: Path) -> None:
    """Remove this machine's copies of runs whose states are gone: another worker has finished them.

    Args:
        storage: RECSYS_STATE.
        folder: holds workspaces of runs.
    """
    store = StateStore(storage)
    for path in sorted(folder.glob("*.*")):
        known = (path / "var/state" / f"{path.name}.json").exists()
        if known and store.written(path.name) is None:
            remove(folder, kind_of(path), [path])


def pinned(storage: Storage, store: Storage | None) -> dict[str, str]:
    """The newest version of the data, as files of a workspace.

    Args:
        storage: RECSYS_STATE.
        store: where releases live; None: what the newest release was made of is made again.

    Returns:
        data.dvc, and the dvc.lock of the newest release; empty where nothing has arrived.
    """
    found = StateStore(storage).read(OF_ARRIVALS)
    if found is None or found[0].data_dvc is None:
        return {}
    files = {DATA_DVC: found[0].data_dvc}
    if store is not None and ReleaseStore(store).pointer() is not None:
        try:
            files |= {name: text for name, text in recorded(newest(store)).items() if name == DVC_LOCK}
        except ReleaseError:
            return files  # published from a workspace without DVC
    return files
