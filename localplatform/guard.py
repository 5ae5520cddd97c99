"""Run one command such that none of its processes outlives the owner. Started by `localplatform.processes` only.

The guard leads its own session, so Ctrl-C in a terminal reaches only the owner, who stops things in order. It ends the
command with all descendants, in whatever process groups, when it gets SIGTERM or SIGINT, when the command ends, or when
its standard input closes; an owner that dies, even by kill -9, closes it. `--detached` ignores standard input. With
`--after URL` the command starts when that address answers. Only the standard library is used, so it starts at once.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STDIN = 0


def main(arguments: list[str]) -> int:
    """Guard `arguments`: [--detached] [--grace SECONDS] [--after URL] -- command; the exit status is the command's."""
    cut = arguments.index("--")
    options, command = arguments[:cut], arguments[cut + 1 :]
    grace_s = float(options[options.index("--grace") + 1]) if "--grace" in options else 0.0
    after = options[options.index("--after") + 1] if "--after" in options else None
    watched = [] if "--detached" in options else [STDIN]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphaned grandchildren become ours and can be found
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signals: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        signals.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes `select`
    while after and not signals and not _answers(after):
        if select.select(watched, [], [], 0.2)[0] and not os.read(STDIN, 4096):
            return 128 + signal.SIGTERM
    if signals:
        return 128 + signal.SIGTERM
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_guard)
    status = None
    while status is None and not signals:
        ready, _, _ = select.select([wake, *watched], [], [], 60)
        if STDIN in ready and not os.read(STDIN, 4096):
            break
        if wake in ready:
            os.read(wake, 4096)
        status = _reap(child.pid)
    _end(grace_s)
    return 128 + signal.SIGTERM if status is None else os.waitstatus_to_exitcode(status) & 0xFF


def _answers(url: str) -> bool:
    import urllib.request

    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
        return True
    return False


def _reap(pid: int) -> int | None:
    """Collect every child that has ended; return the wait status of `pid` if it is among them."""
    found = None
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == pid:
                found = ended[1]
    return found


def _end(grace_s: float) -> None:
    """Ask every descendant to end, wait for `grace_s`, then kill the rest."""
    patience = time.monotonic() + grace_s
    if grace_s:
        _signal(_descendants(), signal.SIGTERM)
    while left := _descendants():
        if time.monotonic() >= patience:
            _signal(left, signal.SIGKILL)
        time.sleep(0.02)
        _reap(0)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _descendants() -> list[int]:
    """Every living process below this one; without /proc (not Linux), those in its process group."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(
            ["ps", "-axo", "pid=,pgid="], capture_output=True, text=True, check=False
        ).stdout
        pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
        return [pid for pid, group in pairs if group == os.getpgid(0) and pid != os.getpid() and _alive(pid)]
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(folder.name))
    found: list[int] = []
    level = [os.getpid()]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


def _alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        os.kill(pid, 0)
        return True
    return False


def _die_with_guard() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # in case the guard itself is killed


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
