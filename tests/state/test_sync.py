"""A workspace's state between two machines: real DVC, a folder as store and remote, real checkpoints."""

import errno
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
import yaml

from localplatform.workspace import set_remote
from recsys.artifacts import Artifacts
from recsys.dvc import track_data
from recsys.errors import StateMoved, StorageError
from recsys.state.dvc_lock import read_lock, write_lock
from recsys.state.scope import ARRIVALS, OWN, RUN, WATCHING, Scope
from recsys.state.store import StateStore
from recsys.state.sync import Sync
from recsys.storage.atomic import write_whole
from recsys.storage.folder import FolderStorage
from tests.dvc_folder import begin_dvc

ROOT = Path(__file__).resolve().parents[2]
PLAIN = Scope(("artifacts/gate", "var/begun"), data=False)
TRAINED = "var/training/run/checkpoint.safetensors"


@pytest.fixture
def store(tmp_path):
    return StateStore(FolderStorage(str(tmp_path / "state")))


@pytest.fixture
def machine(tmp_path, store, monkeypatch):
    """Makes machines: each has a folder and nothing else of its own."""

    def make(name, scope=PLAIN, run="train.1"):
        root = tmp_path / name / run
        root.mkdir(parents=True)
        begin_dvc(root)
        set_remote(root, str(tmp_path / "remote"))
        return Sync(store, run, Artifacts(root), scope)

    monkeypatch.delenv("RECSYS_CACHE", raising=False)
    return make


def write(state, name, text):
    path = state.at.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(state, name):
    return (state.at.root / name).read_text()


def test_a_file_of_one_machine_is_on_the_next_and_nothing_comes_twice(machine):
    one, two = machine("one"), machine("two")
    write(one, "artifacts/gate/page.html", "open")
    write(one, "artifacts/other.txt", "not of this scope")
    assert one.begin() and not two.begin()
    assert two.bring().n_bytes == 4
    assert (
        read(two, "artifacts/gate/page.html") == "open" and not (two.at.root / "artifacts/other.txt").exists()
    )
    assert not two.bring().changed and not one.bring().changed and not two.keep().changed
    (two.at.root / "artifacts/gate/page.html").unlink()
    write(two, "var/begun", "7")
    assert two.keep().n_bytes == 1
    assert one.bring().changed
    assert read(one, "var/begun") == "7" and not (one.at.root / "artifacts/gate/page.html").exists()
    kept = one.store.storage.list("train.1/files/")
    assert len(kept) == 1  # what only the version before needed is gone


def test_tasks_at_the_same_time_are_merged_and_a_doubled_one_changes_nothing(machine):
    one, two, three = machine("one"), machine("two"), machine("three")
    write(one, "var/begun", "1")
    assert one.begin()
    two.bring(), three.bring()
    write(one, "artifacts/gate/one", "a")
    write(two, "artifacts/gate/two", "b")
    write(three, "artifacts/gate/two", "the same task, done by a worker that was taken for dead")
    assert one.keep().changed and two.keep().changed
    before = one.store.read("train.1")[0]
    assert not three.keep().changed
    assert one.store.read("train.1")[0] == before
    for state in (one, two, three):
        state.bring()
        assert (read(state, "artifacts/gate/one"), read(state, "artifacts/gate/two")) == ("a", "b")


def test_what_a_task_that_runs_in_the_same_folder_has_changed_is_not_undone(machine):
    one, two = machine("one"), machine("two")
    write(one, "artifacts/gate/a", "1"), write(one, "artifacts/gate/b", "1")
    one.begin()
    two.bring()
    write(two, "artifacts/gate/a", "2")
    two.keep()
    write(one, "artifacts/gate/b", "of a task under way")
    one.bring()  # for another task in the same folder
    assert (read(one, "artifacts/gate/a"), read(one, "artifacts/gate/b")) == ("2", "of a task under way")
    one.keep()
    two.bring()
    assert read(two, "artifacts/gate/b") == "of a task under way"


def test_tasks_that_begin_at_once_on_one_machine_bring_it_once(machine):
    one, two = machine("one", RUN), machine("two", RUN)
    write(one, "recsys/code.py", "answer = 42\n")
    one.begin()
    found = []
    threads = [threading.Thread(target=lambda: found.append(two.bring())) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(moved.changed for moved in found) == [False, False, False, True]
    assert read(two, "recsys/code.py") == "answer = 42\n"


def test_of_many_that_store_at_once_nothing_is_lost(machine):
    first, others = machine("first"), [machine(f"m{n}") for n in range(6)]
    write(first, "var/begun", "1")
    first.begin()
    for number, state in enumerate(others):
        state.bring()
        write(state, f"artifacts/gate/{number}", str(number))
    threads = [threading.Thread(target=state.keep) for state in others]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    first.bring()
    assert sorted(path.name for path in (first.at.root / "artifacts/gate").iterdir()) == list("012345")


def test_in_an_exclusive_scope_who_is_late_is_refused(machine):
    scope = Scope(PLAIN.paths, data=False, exclusive=True)
    one, two = machine("one", scope), machine("two", scope)
    write(one, "var/begun", "1")
    one.keep()
    two.bring()
    write(one, "var/begun", "2")
    write(two, "var/begun", "3")
    two.keep()
    with pytest.raises(StateMoved, match="another worker has gone on"):
        one.keep()
    one.bring()
    assert read(one, "var/begun") == "3"  # what the late one had is given up
    assert not one.keep().changed


@pytest.mark.parametrize("is_removed", [False, True])
def test_of_a_worker_that_is_refused_after_it_uploaded_nothing_is_left(machine, monkeypatch, is_removed):
    scope = Scope(PLAIN.paths, data=False, exclusive=True)
    one, two = machine("one", scope), machine("two", scope)
    write(one, "var/begun", "1"), write(one, "artifacts/gate/page.html", "open")
    one.keep()
    two.bring()
    write(one, "var/begun", "2"), write(two, "var/begun", "3")
    upload = StateStore.upload

    def slow_upload(*arguments):
        monkeypatch.setattr(StateStore, "upload", upload)
        two.store.remove("train.1") if is_removed else two.keep()
        return upload(*arguments)

    monkeypatch.setattr(StateStore, "upload", slow_upload)
    with pytest.raises(StateMoved):
        one.keep()
    assert len(one.store.storage.list("train.1/files/")) == (0 if is_removed else 2)


def test_what_a_worker_left_that_was_killed_before_its_swap_is_deleted_once_it_is_old(machine, monkeypatch):
    one = machine("one")
    write(one, "var/begun", "7")
    assert one.begin()
    write(one, "artifacts/gate/page.html", "open")
    with monkeypatch.context() as patched:
        patched.setattr(StateStore, "swap", killed)
        with pytest.raises(KeyboardInterrupt):
            one.keep()
    folder = Path(one.store.storage.url)
    stray, *others = sorted(
        (folder / "train.1/files").iterdir(), key=lambda path: path.read_text(), reverse=True
    )
    assert stray.read_text() == "open" and len(others) == 1
    assert one.store.tidy() == 0
    # DVC names objects so, and may have its remote in the same bucket.
    remote = folder / "dvc/files/md5/ab/cdef"
    write_whole(remote, b"data")
    for path in (stray, remote, *others):
        os.utime(path, (0, 0))
    assert one.store.tidy() == 1 and not stray.exists() and others[0].exists() and remote.exists()
    assert machine("two").bring().changed


def killed(*arguments):
    raise KeyboardInterrupt


def test_a_state_that_was_removed_is_not_made_again_by_a_worker_that_lags(machine):
    one = machine("one")
    write(one, "var/begun", "1")
    one.begin()
    one.store.remove("train.1")
    write(one, "var/begun", "2")
    with pytest.raises(StateMoved, match="was removed while this worker used it"):
        one.keep()
    assert one.store.names() == ()


def test_a_state_that_was_removed_is_not_made_again_after_a_merge_either(machine):
    one, two = machine("one"), machine("two")
    write(one, "var/begun", "1")
    one.begin()
    two.bring()
    write(one, "artifacts/gate/one", "a"), write(two, "artifacts/gate/two", "b")
    one.keep(), two.keep()  # two knows that others have added to what it stored
    one.store.remove("train.1")
    write(two, "artifacts/gate/two", "c")
    with pytest.raises(StateMoved, match="was removed while this worker used it"):
        two.keep()
    assert one.store.names() == ()


def test_a_file_that_comes_back_outlives_the_deletion_of_what_was_given_up(machine, monkeypatch):
    one, two, three = machine("one"), machine("two"), machine("three")
    write(one, "artifacts/gate/page.html", "open"), write(one, "var/begun", "1")
    one.begin()
    two.bring()
    (one.at.root / "artifacts/gate/page.html").unlink()
    delete = StateStore.delete

    def late(store, name, objects):
        """Between the swap and the deletion, another worker makes the same bytes again."""
        monkeypatch.setattr(StateStore, "delete", delete)
        write(two, "artifacts/gate/other.html", "open")
        assert two.keep().n_bytes == 4
        delete(store, name, objects)

    monkeypatch.setattr(StateStore, "delete", late)
    one.keep()
    three.bring()
    assert read(three, "artifacts/gate/other.html") == "open"
    assert len(one.store.storage.list("train.1/files/")) == 2


@pytest.mark.parametrize("store_first", [Sync.begin, Sync.keep])
def test_files_stay_where_only_the_reply_to_a_swap_is_lost_and_another_worker_goes_on(
    machine, monkeypatch, store_first
):
    one, two, three = machine("one"), machine("two"), machine("three")
    write(one, "var/begun", "1234")
    swap = FolderStorage.swap

    def lost(storage, key, content, expected):
        monkeypatch.setattr(FolderStorage, "swap", swap)
        swap(storage, key, content, expected)
        two.bring()
        write(two, "artifacts/gate/page.html", "open")
        two.keep()
        raise StorageError("the reply did not come")

    monkeypatch.setattr(FolderStorage, "swap", lost)
    store_first(one)
    three.bring()
    assert read(three, "var/begun") == "1234" and read(three, "artifacts/gate/page.html") == "open"


def test_a_state_of_format_1_whose_objects_are_named_by_checksums_is_brought_and_gone_on_from(machine):
    one, two = machine("one"), machine("two")
    write(one, "var/begun", "1234")
    digest = hashlib.sha256(b"1234").hexdigest()
    files = {"var/begun": {"sha256": digest, "size": 4}}
    one.store.storage.write(f"train.1/files/{digest}", b"1234")
    document = {"format": 1, "nonce": "old", "files": files}
    one.store.storage.swap("train.1/STATE", json.dumps(document).encode(), None)
    assert two.bring().n_bytes == 4 and read(two, "var/begun") == "1234"
    write(two, "artifacts/gate/page.html", "open")
    assert two.keep().n_bytes == 4
    assert one.bring().changed and read(one, "artifacts/gate/page.html") == "open"
    found = one.store.read("train.1")[0]
    assert found.format == 2 and found.objects[digest] == digest


def test_a_damaged_file_is_named_and_not_laid_out(machine):
    one, two = machine("one"), machine("two")
    write(one, "var/begun", "1234")
    one.begin()
    (stored,) = one.store.storage.list("train.1/files/")
    one.store.storage.write(stored.key, b"4321")
    with pytest.raises(StorageError, match="begun of the workspace, is damaged"):
        two.bring()
    assert not (two.at.root / "var/begun").exists()


def test_checkpoints_travel_while_a_training_lasts_and_belong_together(machine):
    scope = Scope((*PLAIN.paths, "var/training"), data=False)
    one, two, three = machine("one", scope), machine("two", scope), machine("three", scope)
    write(one, "var/begun", "1")
    one.begin()
    assert not one.keep_training().changed
    write(one, TRAINED, "step 1"), write(one, "var/training/run/best-1.safetensors", "best 1")
    write(one, "var/training/frozen/large", "is made again")
    assert one.keep_training().n_bytes == 12 and not one.keep_training().changed
    (one.at.root / "var/training/run/best-1.safetensors").unlink()
    write(one, TRAINED, "step 20"), write(one, "var/training/run/best-20.safetensors", "best 20")
    two.bring()  # another task of the run ends meanwhile
    write(two, "artifacts/gate/page.html", "page")
    two.keep()
    one.keep_training()
    three.bring()
    assert read(three, TRAINED) == "step 20" and read(three, "artifacts/gate/page.html") == "page"
    names = sorted(path.name for path in (three.at.root / "var/training").rglob("*") if path.is_file())
    assert names == ["best-20.safetensors", "checkpoint.safetensors"]


def replaced(path, text):
    """As checkpoints are written: under another name, then renamed."""
    draft = path.with_name(".tmp-draft")
    draft.write_text(text)
    draft.replace(path)


def test_a_checkpoint_that_is_replaced_while_it_is_stored_is_stored_as_it_was(machine, monkeypatch):
    one, two = (machine(name, Scope(("var/training",), data=False)) for name in ("one", "two"))
    path = write(one, TRAINED, "step 1")
    one.begin()
    replaced(path, "step 20")
    upload = StateStore.upload

    def slow_upload(*arguments):
        replaced(path, "step 300")  # the training goes on
        return upload(*arguments)

    monkeypatch.setattr(StateStore, "upload", slow_upload)
    assert one.keep_training().changed
    monkeypatch.undo()
    two.bring()
    assert read(two, TRAINED) == "step 20"
    assert one.keep_training().changed and not one.keep_training().changed
    two.bring()
    assert read(two, TRAINED) == "step 300"
    assert not list(one.at.var.glob(".tmp-*"))


def test_checkpoints_are_stored_where_the_file_system_has_no_hard_links(machine, monkeypatch):
    one, two = (machine(name, Scope(("var/training",), data=False)) for name in ("one", "two"))
    path = write(one, TRAINED, "step 1")
    one.begin()
    replaced(path, "step 20")

    def refused(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert one.keep_training().changed and not one.keep_training().changed
    two.bring()
    assert read(two, TRAINED) == "step 20"


def test_checkpoints_between_two_looks_at_them_wait_for_the_next_time(machine, monkeypatch):
    one = machine("one", Scope(("var/training",), data=False))
    path = write(one, TRAINED, "step 1")
    one.begin()
    link, steps = os.link, iter(range(2, 1000))

    def link_and_go_on(source, target):
        link(source, target)
        replaced(path, "x" * next(steps))

    monkeypatch.setattr(os, "link", link_and_go_on)
    assert not one.keep_training().changed
    monkeypatch.setattr(os, "link", lambda source, target: path.unlink() or link(source, target))
    assert not one.keep_training().changed
    monkeypatch.undo()
    replaced(path, "step 50000")
    assert one.keep_training().changed


@pytest.mark.whole
def test_data_that_was_half_brought_is_brought_again_and_never_stored_for_others(machine, tmp_path):
    one, two = machine("one", ARRIVALS), machine("two", ARRIVALS)
    write(one, "data/1", "first")
    track_data(one.at.root)
    one.keep(), two.bring()
    write(two, "data/2", "second")
    track_data(two.at.root)
    two.keep()
    digest = hashlib.md5(b"second").hexdigest()
    remote = tmp_path / "remote/files/md5" / digest[:2] / digest[2:]
    remote.rename(tmp_path / "away")
    with pytest.raises(StorageError):
        one.bring()
    assert one.at.data_dvc.read_text() == two.at.data_dvc.read_text()
    assert not (one.at.data / "2").exists()
    (tmp_path / "away").rename(remote)
    assert one.bring().changed and read(one, "data/2") == "second"
    assert not one.bring().changed


@pytest.mark.whole
def test_data_and_outputs_of_stages_come_by_dvc_and_dvc_agrees_that_nothing_is_to_do(machine):
    one, two = machine("one", RUN), machine("two", RUN)
    write(one, "data/catalogue/part/rows", "rows")
    track_data(one.at.root)
    stage = {
        "cmd": "mkdir -p artifacts/made && cat data/catalogue/part/rows > artifacts/made/out",
        "deps": ["data"],
    }
    small = {
        "cmd": "mkdir -p artifacts/gate && echo page > artifacts/gate/page.html",
        "deps": ["artifacts/made"],
    }
    stages = {
        "made": stage | {"outs": [{"artifacts/made": {"persist": True}}]},
        "gate": small | {"outs": [{"artifacts/gate/page.html": {"cache": False}}]},
    }
    write(one, "dvc.yaml", yaml.safe_dump({"stages": stages}))
    (one.at.root / "recsys").mkdir()
    write(one, "recsys/code.py", "answer = 42\n")
    one.begin()
    dvc(one, "repro", "--single-item", "made")
    one.keep()
    shutil.rmtree(two.at.root)  # as a run's workspace begins on another worker
    source = machine("source", run="workspace").at
    two.bring(source)
    assert read(two, "artifacts/made/out") == "rows" and read(two, "recsys/code.py") == "answer = 42\n"
    assert "Stage 'made' didn't change, skipping" in dvc(two, "repro", "--single-item", "made")
    dvc(two, "repro", "--single-item", "gate")
    two.keep()
    one.bring()
    assert read(one, "artifacts/gate/page.html") == "page\n"
    assert "Stage 'gate' didn't change, skipping" in dvc(one, "repro", "--single-item", "gate")
    assert list(one.store.read("train.1")[0].lock) == ["made", "gate"]


def test_stages_whose_outputs_are_not_here_are_not_promised_to_others(machine):
    one = machine("one", RUN)
    entry = {"cmd": "x", "outs": [{"path": "artifacts/index", "md5": "0" * 32 + ".dir"}]}
    write_lock(one.at, {"index": entry})
    one.begin()
    assert one.store.read("train.1")[0].lock == {} and read_lock(one.at) == {"index": entry}


def test_a_worker_without_a_record_of_it_brings_everything_anew(machine):
    one = machine("one")
    write(one, "var/begun", "1")
    one.begin()
    (one.at.var / "state/train.1.json").write_text("{")
    assert one.bring().changed and not one.bring().changed


def test_the_states_of_arrivals_holds_what_dvc_does_not_know(machine):
    one = machine("one", ARRIVALS, run="arrivals")
    write(one, "var/published.json", json.dumps({"release": "1"}))
    write(one, "var/tracked.json", "of this machine alone")
    write(one, "var/refused/x.json", "refused")
    one.keep()
    assert sorted(one.store.read("arrivals")[0].files) == ["var/published.json", "var/refused/x.json"]


def dvc(state, *arguments):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=state.at.root,
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_output_that_dvc_does_not_keep_travels_with_the_state():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"].values()
    outs = [out for stage in stages for kind in ("outs", "metrics", "plots") for out in stage.get(kind, ())]
    kept = [
        one for out in outs if isinstance(out, dict) for one, how in out.items() if how.get("cache") is False
    ]
    assert "artifacts/validate/report.json" in kept and len(kept) >= 5
    for path in kept:
        assert any(path == one or path.startswith(f"{one}/") for one in (*OWN, *WATCHING)), path
