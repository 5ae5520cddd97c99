"""Against a real DVC: what a kill leaves, and that the next run goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

DVC = [sys.executable, "-m", "dvc"]


@pytest.fixture
def mend_locks(plugin):
    return plugin("dvc_locks").mend_locks


PIPELINE = """
stages:
  make:
    cmd: touch started && sleep $PAUSE && cp in.txt out.txt
    deps: [in.txt]
    outs: [out.txt]
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A DVC repository with one slow stage `make`: in.txt -> out.txt."""
    folder = tmp_path_factory.mktemp("dvc") / "fresh"
    folder.mkdir()
    subprocess.run([*DVC, "init", "--no-scm", "--quiet"], cwd=folder, check=True)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "in.txt").write_text("1")
    (folder / ".dvc/tmp").mkdir(exist_ok=True)
    return folder


@pytest.fixture
def repository(fresh, tmp_path):
    return shutil.copytree(fresh, tmp_path / "repository")


def repro(folder):
    return subprocess.run(
        [*DVC, "repro", "--single-item", "make"],
        cwd=folder,
        env=os.environ | {"PAUSE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_after_a_kill_in_the_middle_of_a_stage_the_next_run_makes_it(repository, mend_locks):
    with subprocess.Popen(
        [*DVC, "repro", "--single-item", "make"],
        cwd=repository,
        env=os.environ | {"PAUSE": "60"},
        start_new_session=True,
    ) as process:
        while not (repository / "started").exists():
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert json.loads((repository / ".dvc/tmp/rwlock").read_text())["write"]  # the dead one is still listed
    mend_locks(repository)
    done = repro(repository)
    assert done.returncode == 0, done.stderr
    assert (repository / "out.txt").read_text() == "1"


@pytest.mark.parametrize("torn", ["", '{"read": {"x', "[]", '{"read": {}, "write": {"a": null}}'])
def test_a_torn_list_goes(repository, mend_locks, torn):
    listed = repository / ".dvc/tmp/rwlock"
    listed.write_text(torn)
    mend_locks(repository)
    assert not listed.exists()


@pytest.mark.parametrize("idle", ["{}", '{"read": {}}', '{"write": {}}'])
def test_a_list_of_one_side_is_whole_and_stays(repository, mend_locks, idle):
    listed = repository / ".dvc/tmp/rwlock"
    listed.write_text(idle)
    mend_locks(repository)
    assert listed.read_text() == idle


def test_a_torn_list_stops_dvc_until_it_is_mended(repository, mend_locks):
    (repository / ".dvc/tmp/rwlock").write_text("")
    assert "corrupted" in repro(repository).stderr  # the day DVC gets over it, mending may go
    mend_locks(repository)
    assert repro(repository).returncode == 0


def test_a_number_that_another_process_has_got_since_holds_nothing(repository, mend_locks):
    stranger = {"pid": os.getppid(), "cmd": "dvc repro make"}
    held = {"read": {"in.txt": [stranger]}, "write": {str(repository / "out.txt"): stranger}}
    (repository / ".dvc/tmp/rwlock").write_text(json.dumps(held))
    mend_locks(repository)
    assert json.loads((repository / ".dvc/tmp/rwlock").read_text()) == {"read": {}, "write": {}}


def test_a_living_dvc_keeps_what_it_holds(repository, mend_locks):
    with subprocess.Popen(
        [*DVC, "repro", "--single-item", "make"],
        cwd=repository,
        env=os.environ | {"PAUSE": "60"},
        start_new_session=True,
    ) as process:
        while not (repository / "started").exists():
            time.sleep(0.02)
        before = (repository / ".dvc/tmp/rwlock").read_text()
        mend_locks(repository)
        assert (repository / ".dvc/tmp/rwlock").read_text() == before
        assert json.loads(before)["write"]
        os.killpg(process.pid, signal.SIGKILL)


def test_a_workspace_where_dvc_never_ran_is_left_alone(tmp_path, mend_locks):
    mend_locks(tmp_path)
    assert list(tmp_path.iterdir()) == []
