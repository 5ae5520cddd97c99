"""Copies of a process, and that they end with it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from recsys.processes import Fork, end_with

STARTS_A_COPY = """
import time
from recsys.processes import Fork
copy = Fork(lambda: time.sleep(60))
print(copy.pid, flush=True)
copy.wait()
"""


def test_the_exit_code_of_a_copy_is_what_its_call_returns_or_leaves_with():
    def leave():
        raise SystemExit(99)

    assert [Fork(call).wait() for call in (lambda: None, lambda: 7, leave)] == [0, 7, 99]
    assert Fork(lambda: os.kill(os.getpid(), signal.SIGTERM)).wait() == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process that its parent ended")
def test_a_copy_is_killed_with_the_process_that_it_was_copied_from():
    with subprocess.Popen([sys.executable, "-c", STARTS_A_COPY], stdout=subprocess.PIPE, text=True) as first:
        copy = psutil.Process(int(first.stdout.readline()))
        first.kill()
    until = time.monotonic() + 10
    while copy.is_running() and copy.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process that its parent ended")
def test_a_copy_whose_starter_ended_first_ends_at_once():
    assert Fork(lambda: end_with(-1)).wait() == -signal.SIGKILL
