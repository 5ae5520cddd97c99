"""Run one command of `recsys` in this process, and write its time and memory to a file.

    python -m recsys.planning.watched FILE COMMAND ...

The peak that the kernel reports to a parent (`wait4`) covers the parent's own memory too, from before the `exec`. So
the process looks at itself.
"""

import atexit
import json
import resource
import runpy
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
PEAK = "VmHWM:"


def main() -> None:
    """Run the command; its exit code is passed on."""
    # Run last, after the command's own: a child that stays to the end, as the reader of landed files does, has ended.
    atexit.register(report, Path(sys.argv.pop(1)))
    runpy.run_module("recsys", run_name="__main__", alter_sys=True)  # as `python -m recsys` does


def report(target: Path) -> None:
    """Write what this process and its children took."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(one.ru_utime + one.ru_stime for one in used)
    peak = max(own_peak(), used[1].ru_maxrss * _unit())
    target.write_text(json.dumps({"cpu_seconds": seconds, "peak_bytes": peak}))


def own_peak() -> int:
    """Most bytes of memory that this process has held since it became this program."""
    if STATUS.is_file():
        line = next((one for one in STATUS.read_text().splitlines() if one.startswith(PEAK)), None)
        if line is not None:
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _unit()


def _unit() -> int:
    """Bytes of a unit of ru_maxrss."""
    return 1 if sys.platform == "darwin" else 1024


if __name__ == "__main__":
    main()
