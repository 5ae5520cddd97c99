"""Effect `workspace finish`: record that a workspace's run has succeeded, and remove older workspaces of its kind."""

from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.effects.workspaces import DONE, kind_of, remove, workspaces_like
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage


def workspace_finish(at: Artifacts, keep: int, states: Storage | None = None) -> tuple[Path, ...]:
    """Record that this workspace's run has succeeded, and remove older ones of its kind.

    A kind is a name up to the first dot. Of the workspaces whose runs succeeded, the newest `keep` stay. Those whose
    runs failed stay too, for a person to look at.

    Args:
        at: a workspace of `workspace make`.
        keep: how many successful ones stay.
        states: RECSYS_STATE, where workers share no disk: the run is marked and earlier ones are removed there.

    Returns:
        The folders that were removed.
    """
    if states is not None:
        from recsys.effects.states import finish_run

        return tuple(at.root.with_name(name) for name in finish_run(states, at, keep))
    if at.root.exists():  # it does not where a killed run has removed it
        write_whole(at.var / DONE, b"")
    done = [path for path in workspaces_like(at.root) if (path / "var" / DONE).exists()]
    newest_first = sorted(
        done, key=lambda path: ((path / "var" / DONE).stat().st_mtime_ns, path.name), reverse=True
    )
    removed = tuple(newest_first[keep:])
    remove(at.root.parent, kind_of(at.root), removed)
    return removed
