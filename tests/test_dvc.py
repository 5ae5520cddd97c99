import os
import shutil
import subprocess
import sys
import time

import psutil
import pytest
import zc.lockfile

from recsys import dvc
from recsys.errors import StorageError
from tests.dvc_folder import begin_dvc

pytestmark = pytest.mark.whole


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
        StorageError,
        match=r"dvc --wait-for-lock push .* did nothing for 5 s and was ended: asking the remote",
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
    with pytest.raises(
        StorageError, match="dvc --wait-for-lock push --quiet data.dvc failed in .*: no such remote"
    ):
        dvc.push(root, ("data.dvc",))


PIPELINE = """
stages:
  first: {cmd: cp in.txt first.txt, deps: [in.txt], params: [some], outs: [first.txt]}
  second: {cmd: cp first.txt second.txt, deps: [first.txt], outs: [second.txt]}
"""


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A DVC repository after `dvc repro`."""
    root = tmp_path_factory.mktemp("dvc")
    begin_dvc(root)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("some: {key: 1}\n")
    (root / "in.txt").write_text("1")
    dvc.reproduce(root, ("second",))
    return root


@pytest.fixture
def repository(reproduced, tmp_path):
    return shutil.copytree(reproduced, tmp_path / "repository")


def test_wherever_a_kill_cuts_dvc_lock_it_is_moved_aside_or_dvc_reads_it(repository):
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import parse_yaml

    path, moved = repository / "dvc.lock", repository / ".dvc/tmp/dvc.lock.torn"
    whole = path.read_text()
    assert "params:" in whole and not dvc.repair_lock_file(repository)
    n_moved = 0
    for n in range(len(whole)):
        path.write_text(whole[:n])
        if dvc.repair_lock_file(repository):
            assert not path.exists() and moved.read_text() == whole[:n]
            n_moved += 1
        else:
            COMPILED_LOCKFILE_SCHEMA(parse_yaml(whole[:n], "dvc.lock"))
    assert 0.9 * len(whole) < n_moved < len(whole)


def test_a_torn_dvc_lock_stops_dvc_and_commands_go_on_without_it(repository):
    (repository / "dvc.lock").write_text("")
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", "first"]
    assert subprocess.run(command, cwd=repository, capture_output=True, check=False).returncode != 0
    dvc.reproduce(repository, ("second",))  # the day DVC gets over it by itself, mending may go
    assert "second:" in (repository / "dvc.lock").read_text()


def test_while_dvc_may_be_writing_dvc_lock_it_stays(repository):
    (repository / "dvc.lock").write_text("")
    lock = zc.lockfile.LockFile(str(repository / ".dvc/tmp/lock"))
    assert not dvc.repair_lock_file(repository) and (repository / "dvc.lock").exists()
    lock.close()
    assert dvc.repair_lock_file(repository)


def test_a_workspace_within_a_repository_is_mended_too(repository):
    (repository / "within").mkdir()
    (repository / "within/dvc.lock").write_text("")
    assert dvc.repair_lock_file(repository / "within")
    assert not (repository / "within/dvc.lock").exists() and (repository / "dvc.lock").exists()


def test_a_workspace_without_dvc_is_left_alone(tmp_path):
    (tmp_path / "dvc.lock").write_text("")
    assert not dvc.repair_lock_file(tmp_path) and (tmp_path / "dvc.lock").exists()


@pytest.mark.whole
def test_cache_and_remote_are_where_dvc_itself_says(tmp_path):
    root = tmp_path / "workspace"
    root.mkdir()

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    run("init", "--no-scm", "-q")
    assert dvc.places(root) == dvc.Places(root / ".dvc/cache", None) and not dvc.has_remote(root)
    run("remote", "add", "-q", "far", "s3://bucket/contents")
    run("remote", "add", "-q", "-d", "near", "../remote")
    run("cache", "dir", "-q", "../shared-cache")
    assert dvc.places(root) == dvc.Places(tmp_path / "shared-cache", str(tmp_path / "remote"))
    assert str(dvc.places(root).cache) == run("cache", "dir")
    run("remote", "default", "-q", "--local", "far")
    assert dvc.places(root).remote == "s3://bucket/contents" and dvc.has_remote(root)
