"""Content of a workspace's state: survey what is here, send it to the remote, lay out what another worker stored."""

from pathlib import Path
from typing import Any

from recsys import dvc
from recsys.artifacts import Artifacts
from recsys.state import code
from recsys.state.checkpoints import is_of_training
from recsys.state.document import State
from recsys.state.dvc_lock import outs_exist, read_lock, text_of, write_lock
from recsys.state.record import Known, Record, carried
from recsys.state.scope import Scope
from recsys.storage.atomic import write_whole


def survey(at: Artifacts, scope: Scope, record: Record) -> tuple[State, dict[str, Path], Known]:
    """Read what of the workspace belongs to its state.

    Args:
        at: the workspace.
        scope: which of its files belong to the state.
        record: of the version that this worker went on from. Its checkpoints are kept: a training in the same folder
            goes on while another task ends.

    Returns:
        The state; name in the state -> local file; checksums of these files.
    """
    known = dict(record.known)
    if scope.whole:
        code.pack(at.root)
    files = {name: path for name, path in scope.files(at).items() if not is_of_training(name)}
    found = {name: file for name, file in record.state.files.items() if is_of_training(name)}
    found |= {name: carried(name, path, known) for name, path in files.items()}
    lock = dict[str, Any]()
    if scope.whole:
        dvc.repair(at.root)
        lock = {stage: entry for stage, entry in read_lock(at).items() if outs_exist(at, entry)}
        lock = record.state.lock | lock
    data_dvc = text_of(at.data_dvc) if scope.data else None
    state = State(files=found, data_dvc=data_dvc, lock=lock, n_interactions=_n_interactions(at, scope))
    return state, files, {name: value for name, value in known.items() if name in found}


def _n_interactions(at: Artifacts, scope: Scope) -> int:
    from recsys.catalogue.kinds import INTERACTIONS
    from recsys.catalogue.parts import list_parts

    if not scope.data or not at.data.is_dir():
        return 0
    return sum(part.arrival.n_rows for part in list_parts(at.data, INTERACTIONS))


def push(at: Artifacts, ours: State, base: State) -> None:
    """Send files to DVC's remote that the state names and the previous version did not.

    Args:
        at: the workspace.
        ours: its state.
        base: the previous version.

    Raises:
        StorageError: DVC's remote is out of reach.
    """
    targets = [at.data_dvc.name] if ours.data_dvc and ours.data_dvc != base.data_dvc else []
    targets += [stage for stage, entry in ours.lock.items() if base.lock.get(stage) != entry]
    if targets:
        dvc.push(at.root, tuple(targets))


def lay_out(at: Artifacts, scope: Scope, theirs: State, base: State) -> None:
    """Write data.dvc and dvc.lock, and bring the files that they name from DVC's cache or remote.

    A bring that was killed, or whose pull failed, has written both files and laid out half of what they name. So what
    this machine knows to lie here decides (`base`), beside the files.

    Args:
        at: the workspace.
        scope: what of it belongs to the state.
        theirs: the state to lay out.
        base: the version that this machine knows to lie here.

    Raises:
        StorageError: DVC's remote is out of reach, or something is missing there.
    """
    wanted = []
    if theirs.data_dvc is not None and scope.data:
        lies_here = base.data_dvc == theirs.data_dvc == text_of(at.data_dvc)
        if not lies_here or not at.data.is_dir():
            wanted.append(at.data_dvc.name)
        write_whole(at.data_dvc, theirs.data_dvc.encode())
    if scope.whole:
        dvc.repair(at.root)
        with dvc.locked(at.root):
            local = read_lock(at)
            changed = {
                stage: entry
                for stage, entry in theirs.lock.items()
                if stage not in local or (entry != base.lock.get(stage) and entry != local[stage])
            }
            if changed:
                write_lock(at, local | changed)
        wanted += [
            stage
            for stage, entry in theirs.lock.items()
            if stage in changed or entry != base.lock.get(stage) or not outs_exist(at, entry)
        ]
    if wanted:
        dvc.pull(at.root, tuple(wanted))
