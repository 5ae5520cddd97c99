"""A person in the states of runs: real DVC remotes and stores in folders."""

import hashlib
import json

import pytest

from localplatform.workspace import set_remote
from recsys.artifacts import Artifacts
from recsys.catalogue.person import Person
from recsys.effects.forget_states import forget_in_states
from recsys.state.document import CarriedFile, State
from recsys.state.scope import ARRIVALS
from recsys.state.store import StateStore
from recsys.state.sync import Sync
from recsys.storage.folder import FolderStorage
from tests.dvc_folder import begin_dvc

JANE = Person("0123456789abcdef" * 2)
CONTENTS = "files/md5/"


@pytest.fixture
def arrivals(tmp_path):
    root = tmp_path / "workspace"
    root.mkdir()
    begin_dvc(root)
    set_remote(root, str(tmp_path / "remote"))
    return Sync(StateStore(FolderStorage(str(tmp_path / "state"))), "arrivals", Artifacts(root), ARRIVALS)


def run(states, folder, name, text="", **values):
    path = folder / "file"
    path.write_text(text)
    file = CarriedFile.of(path)
    new, _ = states.upload(name, [(file, path)], {})
    states.swap(name, State(files={"artifacts/gate/page.html": file}, **values).renewed(new), None)


def in_remote(folder, content, ending=""):
    md5 = hashlib.md5(content).hexdigest() + ending
    place = folder / "remote" / CONTENTS / md5[:2] / md5[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return md5, place


def test_what_has_ended_with_the_person_is_removed_and_what_goes_on_is_named(arrivals, tmp_path):
    states, page = arrivals.store, f"<td>{JANE.pseudonym[:10]}</td>"
    in_remote(tmp_path, b"rows of others")
    run(states, tmp_path, "train.ended", page, done=True)
    run(states, tmp_path, "train.going", page)
    run(states, tmp_path, "train.without", "<td>somebody</td>", done=True)
    run(states, tmp_path, "arrivals", page)
    removed, left = forget_in_states(arrivals, JANE, CONTENTS)
    assert removed == ["train.ended"] and states.storage.list("train.ended/") == []
    assert len(left) == 1 and "train.going" in left[0]
    assert states.names() == ("arrivals", "train.going", "train.without")
    assert forget_in_states(None, JANE, CONTENTS) == ([], [])


def test_a_run_whose_data_was_taken_out_of_the_remote_holds_the_person_on_its_worker(arrivals, tmp_path):
    part, place = in_remote(tmp_path, b"rows of jane")
    folder, _ = in_remote(tmp_path, json.dumps([{"md5": part, "relpath": "rows"}]).encode(), ".dir")
    run(arrivals.store, tmp_path, "train.1", data_dvc=f"outs:\n- md5: {folder}\n  path: data\n")
    run(arrivals.store, tmp_path, "train.2", data_dvc="outs:\n- md5: ffff.dir\n  path: data\n")
    assert ["train.2" in line for line in forget_in_states(arrivals, JANE, CONTENTS)[1]] == [True]
    place.unlink()
    assert len(forget_in_states(arrivals, JANE, CONTENTS)[1]) == 2


def test_where_the_remote_is_out_of_reach_or_not_mounted_nothing_is_removed_and_that_is_said(
    arrivals, tmp_path
):
    run(arrivals.store, tmp_path, "train.1", data_dvc="outs:\n- md5: ffff.dir\n  path: data\n", done=True)
    for why in ("is empty", "Not a directory"):
        removed, (line,) = forget_in_states(arrivals, JANE, CONTENTS)
        assert not removed and "states of runs were not looked through" in line and why in line
        (tmp_path / "remote").write_text("no folder")
    assert arrivals.store.names() == ("train.1",)


def test_of_what_a_state_carries_models_are_not_brought(arrivals, tmp_path, monkeypatch):
    in_remote(tmp_path, b"rows of others")
    path, brought = tmp_path / "file", []
    path.write_text("weights")
    file = CarriedFile.of(path)
    new, _ = arrivals.store.upload("train.1", [(file, path)], {})
    state = State(files={"cache/encoders/1/model.bin": file, "var/begun": file}).renewed(new)
    arrivals.store.swap("train.1", state, None)
    fetch = FolderStorage.fetch
    monkeypatch.setattr(FolderStorage, "fetch", lambda *some: brought.append(some) or fetch(*some))
    assert forget_in_states(arrivals, JANE, CONTENTS) == ([], [])
    assert len(brought) == 1
