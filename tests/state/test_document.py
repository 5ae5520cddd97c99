"""States of workspaces as documents: what becomes of two workers' changes to the same version."""

import pytest

from recsys.errors import StorageError
from recsys.state.document import CarriedFile, State, Versions

FEATURES, SPLIT = {"cmd": "features"}, {"cmd": "split"}


def file(letter):
    return CarriedFile(sha256=letter * 64, size=1)


def state(files="", **values):
    return State(
        files={name: file(letter) for name, letter in (one.split("=") for one in files.split())}, **values
    )


def test_what_two_workers_made_at_the_same_time_is_all_there():
    base = state("params=a old=b", lock={"features": FEATURES}, nonce="1")
    ours = state("params=a old=b report=c", lock={"features": FEATURES, "split": SPLIT})
    theirs = state("params=a model=d", lock={"features": {"cmd": "again"}}, nonce="2")
    merged = Versions(base, ours, theirs).merged()
    assert merged.files == state("params=a report=c model=d").files  # they deleted `old`
    assert merged.lock == {"features": {"cmd": "again"}, "split": SPLIT}


def test_of_the_same_task_done_twice_the_one_that_was_stored_first_stays():
    base = state("page=a", data_dvc="one")
    ours, theirs = (
        state("page=b extra=x", data_dvc="two", done=True),
        state("page=c", data_dvc="three", nonce="2"),
    )
    merged = Versions(base, ours, theirs).merged()
    assert merged.files == state("page=c extra=x").files
    assert merged.data_dvc == "three" and merged.done


def test_what_only_one_of_them_deleted_is_gone():
    base, same = state("a=a b=b"), state("a=a b=b")
    assert Versions(base, state("a=a"), same).merged().files == state("a=a").files
    assert Versions(base, same, state("b=b")).merged().files == state("b=b").files


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", ".dvc/config", "a//b", ""])
def test_a_file_that_leads_out_of_the_workspace_is_refused(name):
    document = State(files={name: file("a")}).document()
    with pytest.raises(StorageError, match="leads out of the workspace"):
        State.parse(document, "s3://state/run/STATE")


def test_a_damaged_document_and_one_of_a_newer_version_are_told_apart():
    with pytest.raises(StorageError, match="STATE is no state of a workspace"):
        State.parse(b"{", "STATE")
    with pytest.raises(StorageError, match="has format 3, this code reads up to 2"):
        State.parse(b'{"format": 3, "more": 1}', "STATE")
    assert State.parse(state("a=a", n_interactions=3).document(), "STATE") == state("a=a", n_interactions=3)
