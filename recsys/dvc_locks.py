"""Clean up what a killed DVC leaves in a workspace: a list of readers and writers, torn or naming dead processes."""

import json
import logging
from pathlib import Path

log = logging.getLogger(__name__)


def repair_locks(workspace: Path) -> None:
    """Drop a torn list, and entries of processes that are not DVC any more. Runs under DVC's own lock.

    DVC forgets dead processes by itself, but not if another process has got the same number since (after a reboot, or
    in a fresh container). It also writes the list in place: a kill may leave half of it, and every later run fails.

    Args:
        workspace: the folder with .dvc/.
    """
    listed = workspace / ".dvc" / "tmp" / "rwlock"
    if not listed.exists():
        return
    import zc.lockfile  # DVC's own lock; nobody may be writing the list now

    try:
        lock = zc.lockfile.LockFile(f"{listed}.lock")
    except zc.lockfile.LockError:
        return  # a living DVC holds it
    try:
        if not listed.exists():
            return  # a neighbour has just removed it
        text = listed.read_text("utf-8")
        repaired = _without_the_dead(text)
        if repaired is None:
            log.warning("removing %s, torn by a kill: %r", listed, text[:200])
            listed.unlink()
        elif repaired != json.loads(text):
            log.warning("%s named processes that are not DVC any more", listed)
            temporary = listed.with_name(".tmp-rwlock")
            temporary.write_text(json.dumps(repaired), "utf-8")
            temporary.replace(listed)
    finally:
        lock.close()


def _without_the_dead(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
        read = {
            path: [one for one in readers if _is_dvc(one["pid"])]
            for path, readers in found.get("read", {}).items()  # DVC writes only the sides that it has used
        }
        write = {path: one for path, one in found.get("write", {}).items() if _is_dvc(one["pid"])}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    sides = {"read": {path: readers for path, readers in read.items() if readers}, "write": write}
    return {**found, **{side: kept for side, kept in sides.items() if side in found}}


def _is_dvc(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    # `recsys arrive` runs DVC within itself
    return any(word.rpartition(b"/")[2] in (b"dvc", b"arrive") for word in command.split(b"\0"))
