import os
import time

import psutil
import pytest

from recsys import dvc
from recsys.errors import StorageError


@pytest.fixture
def instead_of_dvc(tmp_path, monkeypatch):
    """Puts a program in the place of `python -m dvc`: a remote that goes silent cannot be had otherwise."""

    def put(program):
        (tmp_path / "dvc.py").write_text(program)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return tmp_path

    return put


def is_alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_dvc_that_hangs_is_ended_with_everything_that_it_started(instead_of_dvc, monkeypatch):
    monkeypatch.setattr(dvc, "QUIET_S", 5.0)
    root = instead_of_dvc(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('asking the remote', child.pid, file=sys.stderr, flush=True)\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(
        StorageError, match=r"dvc push .* did nothing for 5 s and was ended: asking the remote"
    ) as caught:
        dvc.push(root, ("data.dvc",))
    child = int(str(caught.value).partition("\n")[0].split()[-1])
    end = time.monotonic() + 30
    while is_alive(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_alive(child)


def test_a_dvc_that_is_slow_but_works_is_waited_for(instead_of_dvc, monkeypatch):
    monkeypatch.setattr(dvc, "QUIET_S", 5.0)
    root = instead_of_dvc(
        "import time\nfor n in range(16):\n    open('written', 'a').write('x' * 100)\n    time.sleep(0.5)\n"
    )
    began = time.monotonic()
    dvc.push(root, ("data.dvc",))
    assert time.monotonic() - began > dvc.QUIET_S
    assert os.path.getsize(root / "written") == 1600


def test_what_a_dvc_that_fails_says_is_passed_on(instead_of_dvc):
    root = instead_of_dvc("import sys\nprint('x' * 300_000)\nsys.exit('no such remote')\n")
    with pytest.raises(StorageError, match="dvc push --quiet data.dvc failed in .*: no such remote"):
        dvc.push(root, ("data.dvc",))
