"""Fork a process that dies by SIGKILL at its n-th write, or at a moment from outside; count writes without dying."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

# What changes the world. The audit event comes before the act, for every Python code path, library or ours.
FILE_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
HTTP_WRITES = (b"PUT ", b"POST ", b"DELETE ")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
IGNORED = ("/dev/", "/proc/", "/sys/")
KILLED = -signal.SIGKILL


class _Boundaries:
    """Counts write boundaries in this process; at the n-th it kills the process as `kill -9` does."""

    def __init__(self, die_at: int | None) -> None:
        self.count = 0
        self._die_at = die_at
        self._sending = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_write(event, arguments):
            self.count += 1
            if self.count == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    def _is_write(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            harmless = isinstance(path, int) or os.fsdecode(path or b"").startswith(IGNORED)  # type: ignore[arg-type]
            return bool(isinstance(flags, int) and flags & WRITING and not harmless)
        if event == "http.client.send":
            # A request is its head and then its body: both are boundaries, those of reading requests are not.
            sent = arguments[1]
            if (
                isinstance(sent, bytes)
                and sent[:16].split(b" ", 1)[0].isupper()
                and b"HTTP/1." in sent[:4096]
            ):
                self._sending = sent.startswith(HTTP_WRITES)
            return self._sending
        return event in FILE_EVENTS


def forked(work: Callable[[], None], log: Path, die_at: int | None = None) -> int:
    """Run `work` in a forked child that dies at its `die_at`-th write.

    Returns:
        The child's process id; `ended` waits for it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if die_at is not None:
            sys.addaudithook(_Boundaries(die_at))
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; its exit code, KILLED where it died by SIGKILL."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(child: int, seconds: float) -> int:
    """Kill a child after a while, if it still runs; its exit code."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))
    os.kill(child, signal.SIGKILL)
    return ended(child)


def counted_writes(work: Callable[[], None], log: Path, into: Path) -> int:
    """Run `work` undisturbed in a child; how many write boundaries it passed.

    Raises:
        RuntimeError: it failed; the log says why.
    """

    def counting() -> None:
        boundaries = _Boundaries(None)
        sys.addaudithook(boundaries)
        work()
        count = boundaries.count
        into.write_text(str(count))

    require_success(ended(forked(counting, log)), log)
    return int(into.read_text())


def require_success(code: int, log: Path) -> None:
    """Stop where a child that nobody killed has failed.

    Raises:
        RuntimeError: the code is not 0; carries the end of the log.
    """
    if code != 0:
        raise RuntimeError(f"a child ended with {code}; {log} ends:\n{log.read_text()[-3000:]}")
