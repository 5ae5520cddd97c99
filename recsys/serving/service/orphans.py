"""Workers whose leader was killed: the first process of the service adopts them, and sees that they end.

Such a worker gets SIGTERM, finishes its requests and ends. One that is stopped, or hangs, does not: it would keep its
memory, and connections that nobody serves, for ever.
"""

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)
PR_SET_CHILD_SUBREAPER = 36
"""Option of prctl(2): processes that lose their parent become children of this one, or of the nearest one like it."""
CHILDREN = Path("/proc/self/task")
"""Where Linux lists the children of each thread."""


class Orphans:
    """Workers that this process did not fork itself. Linux only; elsewhere there are none.

    Other children stay: a shell that became this process by `exec` may have left some.

    Args:
        longest_s: seconds that they get to end by themselves.
    """

    def __init__(self, longest_s: float) -> None:
        self._longest_s = longest_s
        self._since = dict[int, float]()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)

    def look(self, own: Collection[int | None]) -> None:
        """Kill those that have had their time, and let those go that have ended.

        Args:
            own: process ids of children that this process forked.
        """
        now = time.monotonic()
        for pid in _children() - set(own):
            if now - self._since.setdefault(pid, now) > self._longest_s:
                log.error(
                    "a worker without a leader does not end, and is killed", extra={"fields": {"worker": pid}}
                )
                _kill(pid)
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._since[pid]

    def end(self) -> None:
        """Kill those that are left: this process ends."""
        for pid in _children():
            _kill(pid)


def _children() -> set[int]:
    """Children that are forks of this process, or of a fork: they have its command line, or have ended."""
    found, own = set[int](), _command(os.getpid())
    for thread in CHILDREN.glob("*/children"):
        with suppress(OSError):
            found.update(pid for pid in map(int, thread.read_text().split()) if _command(pid) in (own, b""))
    return found


def _command(pid: int) -> bytes:
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
