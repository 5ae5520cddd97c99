"""Against a real DVC: what a kill leaves, and that the next run goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from recsys.dvc_locks import repair_locks

DVC = [sys.executable, "-m", "dvc"]


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


def test_after_a_kill_in_the_middle_of_a_stage_the_next_run_makes_it(repository):
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
    repair_locks(repository)
    done = repro(repository)
    assert done.returncode == 0, done.stderr
    assert (repository / "out.txt").read_text() == "1"


@pytest.mark.parametrize("torn", ["", '{"read": {"x', "[]", '{"read": {}, "write": {"a": null}}'])
def test_a_torn_list_goes(repository, torn):
    listed = repository / ".dvc/tmp/rwlock"
    listed.write_text(torn)
    repair_locks(repository)
    assert not listed.exists()


@pytest.mark.parametrize("idle", ["{}", '{"read": {}}', '{"write": {}}'])
def test_a_list_of_one_side_is_whole_and_stays(repository, idle):
    listed = repository / ".dvc/tmp/rwlock"
    listed.write_text(idle)
    repair_locks(repository)
    assert listed.read_text() == idle


def test_a_torn_list_stops_dvc_until_it_is_mended(repository):
    (repository / ".dvc/tmp/rwlock").write_text("")
    assert "corrupted" in repro(repository).stderr  # the day DVC gets over it, mending may go
    repair_locks(repository)
    assert repro(repository).returncode == 0


def test_a_number_that_another_process_has_got_since_holds_nothing(repository):
    stranger = {"pid": os.getppid(), "cmd": "dvc repro make"}
    held = {"read": {"in.txt": [stranger]}, "write": {str(repository / "out.txt"): stranger}}
    (repository / ".dvc/tmp/rwlock").write_text(json.dumps(held))
    repair_locks(repository)
    assert json.loads((repository / ".dvc/tmp/rwlock").read_text()) == {"read": {}, "write": {}}


def test_a_living_dvc_keeps_what_it_holds(repository):
    with subprocess.Popen(
        [*DVC, "repro", "--single-item", "make"],
        cwd=repository,
        env=os.environ | {"PAUSE": "60"},
        start_new_session=True,
    ) as process:
        while not (repository / "started").exists():
            time.sleep(0.02)
        before = (repository / ".dvc/tmp/rwlock").read_text()
        repair_locks(repository)
        assert (repository / ".dvc/tmp/rwlock").read_text() == before
        assert json.loads(before)["write"]
        os.killpg(process.pid, signal.SIGKILL)


def test_a_workspace_where_dvc_never_ran_is_left_alone(tmp_path):
    repair_locks(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_stages_in_one_dvc_lose_nothing_to_a_kill_and_run_in_the_order_given(repository):
    stage = (
        "    cmd: echo {name} >> ran && touch started-{name} && sleep $PAUSE_{name} && cp in.txt {name}.txt\n"
    )
    stages = "".join(
        f"  {name}:\n" + stage.format(name=name) + f"    deps: [in.txt]\n    outs: [{name}.txt]\n"
        for name in ("z", "a", "m")
    )
    (repository / "dvc.yaml").write_text(f"stages:\n{stages}")
    command = [*DVC, "--wait-for-lock", "repro", "--single-item", "z", "a", "m"]
    pauses = {f"PAUSE_{name}": "0" for name in ("z", "a", "m")}
    with subprocess.Popen(
        command, cwd=repository, env=os.environ | pauses | {"PAUSE_a": "60"}, start_new_session=True
    ) as process:
        while not (repository / "started-a").exists():
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    repair_locks(repository)
    subprocess.run(command, cwd=repository, env=os.environ | pauses, check=True, capture_output=True)
    assert (repository / "ran").read_text().split() == [
        "z",
        "a",
        "a",
        "m",
    ]  # z had ended: it is not run again
    assert all((repository / f"{name}.txt").read_text() == "1" for name in ("z", "a", "m"))
