"""Run a call in a copy of this process, and end a process that hangs together with all that it has started."""

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import psutil


PR_SET_PDEATHSIG = 1
"""Option of prctl(2): which signal a process gets when the one that started it ends."""


class Running(Protocol):
    """A process that this one has started: a `subprocess.Popen`, or a Fork."""

    @property
    def pid(self) -> int:
        """Process id."""

    def poll(self) -> int | None:
        """Exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its exit code; subprocess.TimeoutExpired after `timeout` seconds."""


class Fork:
    """A call in a copy of this process: what is imported here costs nothing there, and memory that it takes is freed.

    A copy has none of the threads of this process, and a lock that one of them held stays locked there. So a process
    that makes copies should import, start no threads, and leave the work to them. On Linux a copy that this process
    leaves behind, killed, is killed as well.

    Args:
        call: what to do. What it returns, or the code of its SystemExit, becomes the exit code; any other exception is
            printed, and the code is 1.
        output: a file that gets what the copy writes to standard output; None: where this process writes.
        errors: likewise for standard error.
    """

    def __init__(
        self, call: Callable[[], int | None], output: IO[bytes] | None = None, errors: IO[bytes] | None = None
    ) -> None:
        self._process = multiprocessing.get_context("fork").Process(
            target=_called, args=(os.getpid(), call, output, errors)
        )
        self._process.start()

    @property
    def pid(self) -> int:
        """The copy's number."""
        return self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Args:
            timeout: seconds; None: for ever.

        Returns:
            The exit code, negative for a signal.

        Raises:
            TimeoutExpired: it still runs.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a copy of this process", timeout or 0)
        return code


def end_with(starter: int, by: signal.Signals = signal.SIGKILL) -> None:
    """Let this process end when the one that forked it ends, however that is. Linux only; elsewhere nothing happens.

    Args:
        starter: number of the process that forked this one.
        by: the signal that this process gets then.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
    if os.getppid() != starter:  # it ended before this call
        os.kill(os.getpid(), by)


def _called(
    starter: int, call: Callable[[], int | None], output: IO[bytes] | None, errors: IO[bytes] | None
) -> None:
    end_with(starter)
    for file, descriptor in ((output, 1), (errors, 2)):
        if file is not None:
            os.dup2(file.fileno(), descriptor)
    raise SystemExit(call())


def ended_by_itself(process: Running, quiet_s: float) -> bool:
    """Wait for a process.

    Args:
        process: what to wait for. However this ends, it is gone afterwards, with everything that it started.
        quiet_s: seconds without any computing, reading or writing after which it is ended.

    Returns:
        False where it was ended because nothing moved in it.
    """
    import psutil

    top = psutil.Process(process.pid)
    work, moved = _work(top), time.monotonic()
    try:
        while process.poll() is None:
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                now = _work(top)
                if now != work:
                    work, moved = now, time.monotonic()
                elif time.monotonic() - moved > quiet_s:
                    return False
        return True
    finally:
        if process.poll() is None:  # it hangs, or this process is told to end
            _end(top)


def _work(top: "psutil.Process") -> dict[int, tuple[float, ...]]:
    """What a process and all that it started have computed, read and written so far, by process id."""
    import psutil

    found: dict[int, tuple[float, ...]] = {}
    try:
        for process in (top, *top.children(recursive=True)):
            moved = process.io_counters() if hasattr(process, "io_counters") else ()  # macOS counts no bytes
            found[process.pid] = (*process.cpu_times()[:2], *moved)
    except psutil.Error:  # one has ended meanwhile: the next look differs
        pass
    return found


def _end(top: "psutil.Process") -> None:
    import psutil

    try:
        processes = [*top.children(recursive=True), top]
    except psutil.Error:
        return
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue
