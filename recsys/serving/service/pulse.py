"""Whether a process that this one has forked still works: its event loop raises a count in shared memory.

A process that hangs keeps its place, and perhaps connections, and does not end. Nobody replaces it, unless somebody
notices that the count stands still. A process whose loop waits for one long computation is left alone for longer: it
is told apart by the processor time that it uses.
"""

import ctypes
import multiprocessing
import os
from pathlib import Path

BUSY_FACTOR = 10
"""A process that computes may be silent for so many times as long as one that does nothing."""
BUSY_SHARE = 0.1
"""Of one core: a process that uses less while it is silent does nothing. Its other threads look around now and then."""


LONGEST_START_S = 1800.0
"""Until the first beat: a release may have to be fetched and opened."""


class Pulse:
    """A count that one process raises and another reads; made before the fork."""

    def __init__(self) -> None:
        self._count = multiprocessing.get_context("fork").RawValue(ctypes.c_uint64, 0)

    @property
    def n_beats(self) -> int:
        """How often it beat."""
        return int(self._count.value)

    def beat(self) -> None:
        """Say that the process works."""
        self._count.value += 1


class Silence:
    """For how long a process has been silent. Before its first beat it may be so for LONGEST_START_S.

    Args:
        pid: of the process.
        pulse: its pulse.
        most_s: seconds of silence after which a process that does nothing is taken to hang.
    """

    def __init__(self, pid: int, pulse: Pulse, most_s: float) -> None:
        self._pid, self._pulse, self._most_s = pid, pulse, most_s
        self._n_beats, self._silent_s, self._cpu_s = 0, 0.0, cpu_s(pid)

    def look(self, passed_s: float) -> str:
        """Look at the process.

        Args:
            passed_s: seconds since the last look in which this process itself worked. A computer that stood still does
                not count: all its processes were silent.

        Returns:
            Why the process is taken to hang; empty where it is not.
        """
        if not self._pulse.n_beats:
            self._silent_s += passed_s
            return f"not at work after {self._silent_s:.0f} s" if self._silent_s > LONGEST_START_S else ""
        if self._pulse.n_beats != self._n_beats:
            self._n_beats, self._silent_s, self._cpu_s = self._pulse.n_beats, 0.0, cpu_s(self._pid)
            return ""
        self._silent_s += passed_s
        if self._silent_s <= self._most_s:
            return ""
        used_s = cpu_s(self._pid) - self._cpu_s
        if used_s >= BUSY_SHARE * self._silent_s and self._silent_s <= BUSY_FACTOR * self._most_s:
            return ""
        return f"silent for {self._silent_s:.1f} s, in which it computed for {used_s:.1f} s"


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far; 0 where this system does not tell, or the process has ended.

    Args:
        pid: its number.

    Returns:
        Seconds in user and system mode, of all its threads.

    Source: proc_pid_stat(5), fields 14 and 15. The name before them may hold spaces and brackets.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
