"""Nothing that lies in the landing zone stops the rest."""

import json
import os
import socket

import pytest

from recsys.catalogue.isolated_reader import IsolatedReader
from recsys.errors import StorageError
from recsys.storage.folder import FolderStorage
from tests.cases.conftest import ITEMS

NEW = [{"item_id": "new", "title": "Steel water bottle"}]


def is_in(intake, item="new"):
    return item in intake.items()


def test_pipes_sockets_links_and_loops_are_passed_over_and_named(intake, tmp_path, monkeypatch):
    zone = intake.at.root / "landing"
    secret = tmp_path / "outside.jsonl"
    secret.write_text(json.dumps({"item_id": "stolen", "title": "Of another folder"}))
    os.mkfifo(zone / "catalogue/pipe.jsonl")
    (zone / "catalogue/link.jsonl").symlink_to(secret)
    (zone / "catalogue/outside").symlink_to(tmp_path)
    (zone / "catalogue/loop").symlink_to(zone / "catalogue/loop")
    (zone / "catalogue/dangling.jsonl").symlink_to(zone / "nowhere")
    monkeypatch.chdir(zone / "catalogue")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.jsonl")
        intake.land("catalogue/new.jsonl", NEW)
        became = intake.ingest()
    assert {key: one["status"] for key, one in became.items()} == {"catalogue/new.jsonl": "accepted"}
    assert is_in(intake) and not is_in(intake, "stolen")
    for name, why in {
        "pipe.jsonl": "a pipe",
        "link.jsonl": "is a link",
        "outside": "is a link",
        "loop": "is a link",
        "dangling.jsonl": "is a link",
        "s.jsonl": "a socket",
    }.items():
        assert f"skipped: catalogue/{name}" in intake.output and why in intake.output
    found = json.loads(intake.run("status", "--json").stdout)
    assert len(found["skipped"]) == 6 and found["pending"] == []
    assert "catalogue/pipe.jsonl" in intake.run("status").stderr


def test_a_name_that_is_no_utf8_stops_nobody(intake):
    name = os.fsencode(str(intake.at.root / "landing/catalogue")) + b"/caf\xe9.jsonl"
    with open(name, "wb") as file:
        file.write(json.dumps(ITEMS[0]).encode())
    intake.land("catalogue/new.jsonl", NEW)
    became = intake.ingest()
    assert became["catalogue/new.jsonl"]["status"] == "accepted"
    assert became["catalogue/caf\\xe9.jsonl"]["status"] == "refused"
    assert "is not a safe name" in intake.output
    assert intake.ingest() == {}
    assert "still refused" in intake.output
    assert "caf\\xe9.jsonl" in intake.run("status").stderr
    json.loads(intake.run("status", "--json").stdout)


def test_a_name_cannot_paint_the_terminal(intake):
    intake.land("catalogue/\x1b[2J[bold]red[/].jsonl", NEW)
    intake.ingest()
    assert "\x1b[2J" not in intake.output and "\\x1b[2J[bold]red[/].jsonl" in intake.output
    assert "\x1b[2J" not in intake.run("status").stderr


def test_a_file_called_processed_loses_nothing_and_is_reported(intake):
    zone = intake.at.root / "landing"
    os.rename(zone / "processed", zone / "kept")
    (zone / "processed").write_text("a file")
    intake.land("catalogue/new.jsonl", NEW)
    intake.land("catalogue/other.jsonl", [{"item_id": "other", "title": "Garden bench"}])
    became = intake.ingest()
    assert {one["status"] for one in became.values()} == {"accepted"}
    assert "cannot be moved to processed/" in intake.output
    n_parts = len(list(intake.at.data.glob("catalogue/*")))
    assert {one["status"] for one in intake.ingest().values()} == {"repeated"}
    assert len(list(intake.at.data.glob("catalogue/*"))) == n_parts
    (zone / "processed").unlink()
    intake.ingest()
    assert list((zone / "catalogue").iterdir()) == []


def test_a_file_where_the_folder_should_be_is_reported(empty_intake):
    zone = empty_intake.at.root / "landing"
    zone.mkdir()
    (zone / "interactions").write_text("a file")
    empty_intake.land("catalogue/new.jsonl", NEW)
    assert empty_intake.ingest()["catalogue/new.jsonl"]["status"] == "accepted"
    assert "skipped: interactions is a file where a folder should be" in empty_intake.output


class Forbidding(FolderStorage):
    """A folder in which one file may not be read and one folder not be listed: root may do both, tests run as root."""

    is_open = False

    def fetch(self, key, to):
        if key.endswith("locked.jsonl") and not self.is_open:
            with self._explained(key):
                raise PermissionError(13, "Permission denied")
        super().fetch(key, to)


def test_a_file_that_may_not_be_read_is_named_and_tried_again(intake, monkeypatch):
    listdir = os.listdir

    def refused(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refused)
    monkeypatch.setattr("recsys.cli.intake.landing", lambda: Forbidding(str(intake.at.root / "landing")))
    intake.land("catalogue/locked.jsonl", NEW)
    intake.land("catalogue/locked/a.jsonl", NEW)
    intake.land("catalogue/other.jsonl", [{"item_id": "other", "title": "Garden bench"}])
    became = intake.ingest()
    assert became["catalogue/other.jsonl"]["status"] == "accepted"
    assert became["catalogue/locked.jsonl"]["status"] == "refused"
    assert "Permission denied" in became["catalogue/locked.jsonl"]["problems"][0]["message"]
    assert "skipped: catalogue/locked cannot be listed: Permission denied" in intake.output
    monkeypatch.setattr(Forbidding, "is_open", True)  # chmod changes no time: the same version is tried again
    assert intake.ingest()["catalogue/locked.jsonl"]["status"] == "accepted"


@pytest.mark.parametrize("error", [ValueError("a library's own words"), MemoryError(), RecursionError()])
def test_an_error_that_nobody_foresaw_refuses_that_file_alone(intake, monkeypatch, error):
    read = IsolatedReader.read_batch

    def broken(self, file, *rest):
        if "odd" in file.key:
            raise error
        return read(self, file, *rest)

    monkeypatch.setattr(IsolatedReader, "read_batch", broken)
    intake.land("catalogue/a-odd.jsonl", NEW)
    intake.land("interactions/odd.jsonl", [{"user_id": "ann@example.org", "item_id": "s1"}])
    intake.land("catalogue/other.jsonl", [{"item_id": "other", "title": "Garden bench"}])
    became = intake.ingest()
    assert became["catalogue/other.jsonl"]["status"] == "accepted"
    for key in ("catalogue/a-odd.jsonl", "interactions/odd.jsonl"):
        (problem,) = became[key]["problems"]
        assert f"unexpected error {type(error).__name__}" in problem["message"]
        log = intake.at.root / problem["remedy"].partition(" ")[0]
        assert "in broken" in log.read_text()
        assert ("own words" in log.read_text()) == (
            key.startswith("catalogue") and isinstance(error, ValueError)
        )
    monkeypatch.undo()
    monkeypatch.setenv("RECSYS_WORKSPACE", str(intake.at.root))
    monkeypatch.setenv("RECSYS_LANDING", str(intake.at.root / "landing"))
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "a-key-for-tests-0123456789")
    assert {one["status"] for one in intake.ingest().values()} == {
        "accepted"
    }  # mended: every run tries again


def test_what_is_quarantined_says_why_at_once(intake):
    rows = [*ITEMS, {"item_id": "bare"}, {"item_id": "x" * 600, "title": "A long id"}]
    intake.land(
        "catalogue/mixed.jsonl", [*rows, {"item_id": "old", "title": "t", "updated_at": "1066-10-14"}]
    )
    (became,) = intake.ingest().values()
    output = " ".join(intake.output.split())
    assert "1 row no_text, line 41: expected: title, description or tags hold text" in output
    assert "1 row ancient_timestamp, line 43" in output and "found updated_at 1066-10-14" in output
    assert "remedy: shorten the id, or raise ingest.max_id_chars" in output
    assert {one["reason"]: one["lines"] for one in became["reasons"]} == {
        "ancient_timestamp": [43],
        "id_too_long": [42],
        "no_text": [41],
    }


def test_a_landing_zone_out_of_reach_ends_the_run_and_refuses_no_file(intake, monkeypatch):
    for n in range(3):
        intake.land(f"catalogue/new-{n}.jsonl", [{"item_id": f"new-{n}", "title": f"Garden bench {n}"}])

    def out_of_reach(self, key, *_):
        raise StorageError("the bucket does not answer", remedy="look at the network")

    with monkeypatch.context() as outage:
        outage.setattr(FolderStorage, "fetch", out_of_reach)
        outage.setattr(FolderStorage, "find", out_of_reach)
        assert "the bucket does not answer" in intake.run("ingest", code=1).stderr
    assert not [*intake.at.refused.glob("*")]
    assert [one["status"] for one in intake.ingest().values()] == ["accepted"] * 3


def test_a_batch_that_cannot_be_let_in_is_not_reported_as_let_in(intake):
    intake.land("catalogue/names.csv", "item_id,name\n1,Red shoe\n2,Blue shoe\n")
    (became,) = intake.ingest().values()
    assert [one["check"] for one in became["problems"]] == ["missing_columns"]
    assert "--accept" not in intake.output + intake.run("status").stdout
    assert (
        "cannot be let in" in intake.run("ingest", "--accept", became["batch"], "--why", "x", code=1).stderr
    )
