"""What a command took: with children that it keeps until it ends, as `ingest` keeps the process that reads files."""

import json
import subprocess
import sys

COMMAND = """
import atexit, json, runpy, subprocess, sys
from recsys.planning import watched

def command(*_, **__):
    work = "import sys, time; sum(range(10**7)); print(time.process_time(), flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", work], stdin=-1, stdout=-1, text=True)
    print(child.stdout.readline())
    atexit.register(lambda: (child.kill(), child.wait()))

runpy.run_module = command
watched.main()
"""


def test_a_child_that_stays_to_the_end_is_counted(tmp_path):
    report = tmp_path / "used.json"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, str(report)], stdout=subprocess.PIPE, text=True, check=True
    )
    used = json.loads(report.read_text())
    assert used["cpu_seconds"] >= float(done.stdout) > 0.01
    assert used["peak_bytes"] > 2**20
