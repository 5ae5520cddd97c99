"""What concerns people: another pseudonym key, personal columns in a catalogue."""

import json

import pytest
from click.testing import CliRunner

from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.cli import main
from tests.cases.conftest import EVENTS, ITEMS, KEY

OTHER = "another-key-for-tests-9876543210"


@pytest.mark.parametrize("around", ["{}\n", " {} ", "\t{}\r\n", "\ufeff{}"])
def test_blanks_around_the_key_make_nobody_a_stranger(intake, monkeypatch, around):
    known = {row["user"] for row in intake.interactions()}
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", around.format(KEY))
    intake.land("interactions/more.jsonl", EVENTS[:5])
    assert intake.ingest()["interactions/more.jsonl"]["status"] == "accepted"
    assert "RECSYS_PSEUDONYM_KEY are left out" in intake.output
    assert {row["user"] for row in intake.interactions()} == known


def test_another_key_is_refused_before_anything_is_taken_in(intake, monkeypatch):
    known = {row["user"] for row in intake.interactions()}
    landed = intake.land("interactions/more.jsonl", [EVENTS[0] | {"user_id": "a new one"}])
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", OTHER)
    output = intake.run("ingest", code=1).stderr
    assert "RECSYS_PSEUDONYM_KEY is not the key" in output and "remedy: set RECSYS_PSEUDONYM_KEY" in output
    assert landed.exists() and {row["user"] for row in intake.interactions()} == known
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", KEY)
    assert intake.ingest()["interactions/more.jsonl"]["status"] == "accepted"


def test_quarantined_rows_are_not_signed_under_another_key(intake, monkeypatch):
    intake.land("interactions/more.jsonl", [*EVENTS, EVENTS[0] | {"event": "two words"}])
    part = intake.ingest()["interactions/more.jsonl"]["part"]
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", OTHER)
    assert "is not the key" in intake.run("quarantine", "retry", part, code=1).stderr
    assert not list((intake.at.root / "landing/interactions").glob("retry-*"))


def test_a_key_may_still_change_where_only_items_were_taken_in(empty_intake, monkeypatch):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    empty_intake.ingest()
    assert not empty_intake.at.pseudonyms.exists()
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", OTHER)
    empty_intake.land("interactions/events.jsonl", EVENTS)
    assert empty_intake.ingest()["interactions/events.jsonl"]["status"] == "accepted"
    record = json.loads(empty_intake.at.pseudonyms.read_text())
    assert record == {"key_check": Pseudonyms(OTHER).key_check}
    assert OTHER not in empty_intake.at.pseudonyms.read_text()


PERSONAL = {
    "User_ID": "u-4711",
    "customerEmail": "jo@example.org",
    "e-mail": "jo@example.org",
    "Phone Number": "+49 30 1234567",
    "customer name": "Jo Doe",
    "Full Name": "Jo Doe",
    "seller": {"contact": {"E_MAIL": "jo@example.org"}, "city": "Bonn"},
}
HELD = ("4711", "jo@example", "1234567", "Jo Doe")


def test_personal_columns_are_left_out_and_named_and_no_row_is_lost(intake):
    rows = [
        {"item_id": f"n{n}", "title": f"Glass vase number {n}", "brand": "Blue", **PERSONAL} for n in range(5)
    ]
    rows.append({"item_id": "bad", **PERSONAL})  # no text: quarantined, with what may be kept of it
    intake.land("catalogue/export.jsonl", rows)
    became = intake.ingest()["catalogue/export.jsonl"]
    assert (became["status"], became["n_rows"], became["quarantined"]) == ("accepted", 5, {"no_text": 1})
    assert json.loads(intake.items()["n1"]["attributes"]) == {
        "brand": "Blue",
        "seller": {"contact": {}, "city": "Bonn"},
    }
    for name in (
        "User_ID",
        "customerEmail",
        "e-mail",
        "Phone Number",
        "customer name",
        "Full Name",
        "seller.contact.E_MAIL",
    ):
        assert name in intake.output
    quarantined = [
        row for part in list_parts(intake.at.data, CATALOGUE) for row in part.quarantined().to_pylist()
    ]
    kept = json.dumps([*intake.items().values(), *quarantined], default=str)
    page = (intake.at.data_docs / f"{became['part']}.html").read_text()
    assert "customerEmail" in page
    for value in HELD:
        assert value not in kept + page


def test_ordinary_data_keeps_its_names_and_phones(intake):
    ordinary = {
        "name": "Vase",
        "brand_name": "Blue",
        "phone_model": "X1",
        "headphones": "yes",
        "contactless": "no",
    }
    intake.land("catalogue/plain.jsonl", [{"item_id": "n1", "title": "Glass vase", **ordinary}])
    assert intake.ingest()["catalogue/plain.jsonl"]["status"] == "accepted"
    assert json.loads(intake.items()["n1"]["attributes"]) == ordinary
    assert "about people" not in intake.output


def test_interactions_that_land_in_the_catalogue_are_refused_and_leave_no_user(intake):
    intake.land(
        "catalogue/wrong.jsonl",
        [event | {"user_id": f"jo-{n}@example.org"} for n, event in enumerate(EVENTS)],
    )
    assert intake.ingest()["catalogue/wrong.jsonl"]["status"] == "refused"
    left = [
        path for folder in ("data", "var") for path in (intake.at.root / folder).rglob("*") if path.is_file()
    ]
    assert not [path for path in left if b"@example.org" in path.read_bytes()]


def test_doctor_tells_another_key_and_blanks_around_the_right_one(intake, monkeypatch):
    def finding():
        result = CliRunner().invoke(main, ["doctor", "--json"])
        return next(one for one in json.loads(result.stdout) if one["check"] == "pseudonym key")

    assert finding()["verdict"] == "ok"
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", f"{KEY}\n")
    assert finding()["verdict"] == "warn"
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", OTHER)
    assert (finding()["verdict"], "is not the key" in finding()["found"]) == ("fail", True)


def test_doctor_shows_what_somebody_named_as_it_is_and_moves_no_cursor(intake, monkeypatch):
    monkeypatch.setenv("RECSYS_LANDING", str(intake.at.root / "a [bold]place[/]\x1b[2J"))
    output = CliRunner().invoke(main, ["doctor"]).output
    assert "[bold]place[/]" in output and "\x1b[2J" not in output


NO_HEADER = "bob@example.com,s1,view,2026-10-05\neve@example.com,s2,view,2026-10-05\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", NO_HEADER),
        ("rows.tsv", NO_HEADER.replace(",", "\t")),
        ("matrix.csv", "item_id,bob@example.com,eve@example.com\ns1,1,0\ns2,0,1\n"),
    ],
)
def test_where_no_column_names_the_users_no_name_of_a_column_is_shown(intake, name, content):
    intake.land(f"interactions/{name}", content)
    became = intake.ingest()[f"interactions/{name}"]
    assert [one["check"] for one in became["problems"]] == ["missing_columns"]
    told = [intake.output, json.dumps(became), intake.run("status", "--json").output]
    told += [path.read_text("utf-8") for path in (intake.at.root / "var").rglob("*") if path.is_file()]
    assert len(told) > 4  # a record and a page among them
    assert not any("bob@" in words or "eve@" in words for words in told)
