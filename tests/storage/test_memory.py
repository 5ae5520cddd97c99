"""recsys/storage/memory.py: what allocators keep."""

import re
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from recsys.storage.memory import limit_arenas

limit_arenas(int(sys.argv[1]))
libc, all_hold = ctypes.CDLL(None), threading.Barrier(8)

def hold():
    libc.malloc(1000)
    all_hold.wait()

threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_threads_share_the_arenas_that_they_are_given():
    n_arenas = {}
    for n in (1, 6):
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(n)], capture_output=True, check=True)
        n_arenas[n] = len(re.findall(rb"<heap nr=", done.stdout))
    assert n_arenas[1] <= 2 < n_arenas[6] <= 6
