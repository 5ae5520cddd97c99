"""A timeout that counts only time without progress, so that a slow machine gets the time that it needs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import psutil


@dataclass
class Patience:
    """Over after `quiet_s` seconds without a change in any sign of progress."""

    quiet_s: float
    most_s: float = float("inf")
    """A limit for all time, in case of work without progress, such as a server that starts and fails repeatedly."""
    _signs: object = None
    _began: float = field(default_factory=time.monotonic)
    _moved: float = field(default_factory=time.monotonic)

    def is_over(self, *signs: object) -> bool:
        """Whether the signs of progress have not changed for too long."""
        now = time.monotonic()
        if signs != self._signs:
            self._signs, self._moved = signs, now
        return now - self._moved > self.quiet_s or now - self._began > self.most_s

    @property
    def still_s(self) -> float:
        """Seconds since a sign changed."""
        return time.monotonic() - self._moved


def seconds_of_trees(pids: Iterable[int]) -> int:
    """Whole seconds of CPU time that processes and everything they started have used so far."""
    total = 0.0
    for pid in pids:
        try:
            top = psutil.Process(pid)
            total += sum(_cpu_seconds(process) for process in (top, *top.children(recursive=True)))
        except psutil.Error:
            continue
    return int(total)


def seconds_of_commands(workspace: Path) -> int:
    """Whole seconds of CPU time that commands of Firstlight and DVC below a workspace have used so far."""
    root, total = workspace.resolve(), 0.0
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command, folder = process.info["cmdline"] or [], process.info["cwd"]
        if folder and Path(folder).is_relative_to(root) and any(_is_ours(word) for word in command[:4]):
            total += _cpu_seconds(process)
    return int(total)


def _is_ours(word: str) -> bool:
    return Path(word).name in ("recsys", "dvc")


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has ended
        return 0.0
    return float(times.user + times.system)
