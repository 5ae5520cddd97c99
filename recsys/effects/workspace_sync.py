"""Effect `workspace sync`: bring the workspace of a run, run a command in it, store what it has made."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from recsys.artifacts import Artifacts
from recsys.effects.states import run_state
from recsys.errors import ArtifactMissing, StorageError
from recsys.processes import end_with
from recsys.progress import report_progress
from recsys.state.sync import Sync
from recsys.state.vectors import exchange_vectors
from recsys.storage.protocol import Storage

POLL_S = 0.2
WITHOUT_VECTORS = frozenset({"validate", "features", "split", "gate", "register", "promote"})
"""Stages and commands that neither read vectors of texts nor make any: a fresh worker need not bring gigabytes."""


def workspace_sync(
    states: Storage, source: Artifacts, at: Artifacts, command: Sequence[str], checkpoint_s: float
) -> int:
    """Run a command in a run's workspace, wherever the run's earlier tasks ran. Safe to repeat and to kill.

    If two workers do the same task at once, the result that is stored first stays, see `Versions.merged`.

    Args:
        states: RECSYS_STATE.
        source: this worker's workspace; a new copy gets its DVC settings, with the remote.
        at: the run's workspace, of the same name on every worker.
        command: program and arguments.
        checkpoint_s: seconds after which checkpoints of a training are stored.

    Returns:
        The command's exit code; negative signals as a shell tells them.

    Raises:
        ArtifactMissing: no worker has made the workspace.
        StateMoved: the run has ended meanwhile, and its state was removed.
        StorageError: the store or DVC's remote is out of reach.
    """
    state = run_state(states, at)
    if state.store.written(state.name) is None:
        raise ArtifactMissing(
            f"{states.url} knows no workspace {state.name}",
            remedy="recsys workspace make, which stores it there",
        )
    brought = state.bring(source)
    encodes = WITHOUT_VECTORS.isdisjoint(command)
    if encodes:
        exchange_vectors(states, at)
    if brought.changed:
        report_progress(f"brought {state.name}, {brought.n_bytes / 2**20:,.1f} MB of it beside DVC's")
    if code := _run(state, command, checkpoint_s):
        return code
    state.keep_training()
    state.keep()
    if encodes:
        exchange_vectors(states, at)
    return 0


def _run(state: Sync, command: Sequence[str], checkpoint_s: float) -> int:
    """Run to the end, and store checkpoints meanwhile."""
    starter = os.getpid()
    process = subprocess.Popen(
        command, cwd=state.at.root, preexec_fn=lambda: end_with(starter) if sys.platform == "linux" else None
    )
    try:
        looked = time.monotonic()
        while (code := process.poll()) is None:
            time.sleep(POLL_S)
            if time.monotonic() - looked >= checkpoint_s:
                _keep_checkpoints(state)
                looked = time.monotonic()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    return code if code >= 0 else 128 - code


def _keep_checkpoints(state: Sync) -> None:
    """Store checkpoints. If the store is out of reach for a while, the training continues."""
    try:
        stored = state.keep_training()
    except StorageError as error:
        report_progress(f"checkpoints could not be stored, the next ones are tried again: {error.message}")
        return
    if stored.changed:
        report_progress(f"checkpoint stored for other workers, {stored.n_bytes / 2**20:,.1f} MB")
