"""The newest landed content wins, and an edit that loses says so."""

import json

import pytest

from tests.cases.conftest import ITEMS

pytestmark = pytest.mark.whole

A = [{"item_id": "s1", "title": "Red running shoe", "tags": ["sport", "shoe"]}]
B = [{"item_id": "s1", "title": "Stainless steel soup ladle", "tags": ["kitchen"]}]
DELETE = [{"item_id": "s1", "deleted": True}]


def as_csv(rows):
    names = [*rows[0]]
    cells = [["|".join(v) if isinstance(v, list) else str(v) for v in row.values()] for row in rows]
    return "\n".join(",".join(line) for line in [names, *cells]) + "\n"


def as_parquet(rows):
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


FORMATS = {"jsonl": lambda rows: rows, "csv": as_csv, "parquet": as_parquet}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("is_one_name", [True, False])
def test_a_text_that_is_taken_back_stands_again(intake, ending, is_one_name):
    for n, rows in enumerate((A, B, A)):
        name = "edit" if is_one_name else f"edit-{n}"
        intake.land(f"catalogue/{name}.{ending}", FORMATS[ending](rows))
        (became,) = intake.ingest().values()
        assert became["status"] == "accepted"
        assert intake.items()["s1"]["title"] == rows[0]["title"]


@pytest.mark.parametrize("ending", FORMATS)
def test_delete_relist_delete_with_identical_files(intake, ending):
    for n, (rows, is_there) in enumerate([(DELETE, False), (A, True), (DELETE, False), (A, True)]):
        intake.land(f"catalogue/{n}.{ending}", FORMATS[ending](rows))
        (became,) = intake.ingest().values()
        assert (became["status"], became["quarantined"]) == ("accepted", {})
        assert ("s1" in intake.items()) == is_there


def test_ties_of_updated_at_go_by_order_of_arrival(intake):
    """The same time on all three: a source that writes the day, not the moment."""
    for n, rows in enumerate((A, B, A)):
        intake.land(f"catalogue/{n}.jsonl", [rows[0] | {"updated_at": "2026-11-02"}])
        (became,) = intake.ingest().values()
        assert (became["status"], became["superseded"]) == ("accepted", 0)
    assert intake.items()["s1"]["title"] == A[0]["title"]


def test_all_three_in_one_run_end_with_the_last(intake):
    for n, rows in enumerate((A, B, A)):
        intake.land(f"catalogue/{n}.jsonl", rows)
    assert [one["status"] for one in intake.ingest().values()] == ["accepted"] * 3
    assert intake.items()["s1"]["title"] == A[0]["title"]


def test_the_very_content_that_stands_changes_nothing(intake):
    intake.land("catalogue/again.jsonl", ITEMS)
    (became,) = intake.ingest().values()
    assert became["status"] == "unchanged"
    assert not (intake.at.root / "landing/catalogue/again.jsonl").exists()
    intake.land("catalogue/again.jsonl", ITEMS)
    assert [one["status"] for one in intake.ingest().values()] == ["unchanged"]
    intake.land("catalogue/b.jsonl", B)
    intake.ingest()
    intake.land(
        "catalogue/again.jsonl", ITEMS
    )  # one item of it has another text now: its rows are older, and it says so
    (became,) = intake.ingest().values()
    assert (became["status"], became["superseded"]) == ("accepted", 1)


def test_a_delete_of_what_is_deleted_is_no_error_and_tombstones_may_grow(intake):
    for day in range(1, 7):
        gone = [{"item_id": f"s{n}", "deleted": True} for n in range(1, 2 + 3 * day)]
        intake.land(f"catalogue/day{day}.jsonl", gone)
        (became,) = intake.ingest().values()
        assert (became["status"], became["quarantined"], became["superseded"]) == ("accepted", {}, 0)
        assert len(intake.items()) == 40 - len(gone)


def test_deletes_of_unknown_items_are_counted_apart(intake):
    intake.land("catalogue/gone.jsonl", [{"item_id": f"x{n}", "deleted": True} for n in range(30)])
    (became,) = intake.ingest().values()
    assert (became["status"], became["quarantined"]) == ("accepted", {})
    assert became["notes"] == ["30 deletes name items that the catalogue never held"]
    assert len(intake.items()) == 40


def test_a_batch_that_deletes_most_of_the_catalogue_waits_for_a_person(intake):
    intake.land("catalogue/oops.jsonl", [{"item_id": f"s{n}", "deleted": True} for n in range(1, 31)])
    (became,) = intake.ingest().values()
    assert (became["status"], became["can_be_accepted"]) == ("refused", True)
    assert became["problems"][0]["check"] == "mass_delete"
    assert (
        "at most 50% of the catalogue's items are deleted at once; found 75.0%"
        in became["problems"][0]["message"]
    )
    assert len(intake.items()) == 40
    (became,) = intake.ingest("--accept", became["batch"], "--why", "the season is over").values()
    assert became["status"] == "accepted"
    assert len(intake.items()) == 10


def test_in_a_catalogue_of_three_two_may_go(empty_intake):
    empty_intake.land("catalogue/a.jsonl", ITEMS[:3])
    empty_intake.land("catalogue/b.jsonl", [{"item_id": item, "deleted": True} for item in ("s1", "s2")])
    assert [one["status"] for one in empty_intake.ingest().values()] == ["accepted", "accepted"]
    assert set(empty_intake.items()) == {"s3"}


def test_of_several_changes_in_one_file_the_newest_wins_and_none_is_a_bad_row(intake):
    changes = [
        {"item_id": f"s{1 + n % 3}", "title": f"Red running shoe, revision {n}"}
        | {"updated_at": f"2026-11-27T10:{n:02}:00Z"}
        for n in range(30)
    ]
    intake.land("catalogue/changes.jsonl", [*changes, changes[0]])  # a late repetition of the first is older
    (became,) = intake.ingest().values()
    assert (became["status"], became["n_rows"], became["superseded"]) == ("accepted", 3, 28)
    assert intake.quarantined() == []
    assert [intake.items()[f"s{n}"]["title"][-2:] for n in (1, 2, 3)] == ["27", "28", "29"]
    assert "28 rows are superseded by newer rows of the same items in this file" in intake.output


def test_an_edit_that_is_older_than_what_stands_says_so_with_both_times(intake):
    intake.land("catalogue/edit.jsonl", [B[0] | {"updated_at": "2026-09-20T09:00:00Z"}])
    (became,) = intake.ingest().values()
    assert (became["status"], became["superseded"]) == ("accepted", 1)
    words = (
        "1 row is older than what stands: no change, such as s1: "
        "this row is of 2026-09-20 09:00:00+00:00, the one that stands of 2026-10-01 00:00:00+00:00"
    )
    assert words in became["notes"][0]
    assert words in " ".join(intake.output.split())
    assert intake.items()["s1"]["title"] == ITEMS[0]["title"]
    status = intake.run("status")
    assert "1 superseded" in status.stderr and "older than what stands" in status.stderr
    page = next((intake.at.var / "data_docs").glob(f"{became['part']}.html")).read_text()
    assert "older than what stands" in page


def test_a_file_with_an_old_time_says_that_newer_rows_stand(intake):
    intake.land("catalogue/new.jsonl", B)
    intake.ingest()
    intake.land("catalogue/old.jsonl", A, mtime=1_700_000_000)  # as rsync -t and tar leave it
    (became,) = intake.ingest().values()
    assert (became["status"], became["superseded"]) == ("accepted", 1)
    assert "s1: this row is of 2023-11-14" in became["notes"][0]


def test_a_whole_catalogue_after_a_trial_of_three_rows_is_accepted(empty_intake):
    empty_intake.land("catalogue/trial.jsonl", ITEMS[:3])
    empty_intake.ingest()
    rows = "".join(f"p{n},Shoe model {n} with a name that is long\n" for n in range(4_000))
    empty_intake.land("catalogue/all.csv", f"item_id,title\n{rows}")
    (became,) = empty_intake.ingest().values()
    assert (became["status"], became["n_rows"]) == ("accepted", 4_000)


def test_the_same_content_lands_anew_where_params_read_it_otherwise(intake):
    rows = [row | {"street": "Main Street", "updated_at": "2026-10-02T00:00:00Z"} for row in ITEMS]
    for status in ("accepted", "unchanged"):
        intake.land("catalogue/items.jsonl", rows)
        assert intake.ingest()["catalogue/items.jsonl"]["status"] == status
    assert "Main Street" in intake.items()["s1"]["attributes"]
    params = intake.at.root / "params.yaml"
    params.write_text(params.read_text().replace("personal_columns: [", "personal_columns: [street, "))
    for status in ("accepted", "unchanged"):
        intake.land("catalogue/items.jsonl", rows)
        assert intake.ingest()["catalogue/items.jsonl"]["status"] == status
    assert {row["attributes"] for row in intake.items().values()} == {"{}"}


def test_two_refused_files_with_the_same_bytes_both_stay_refused(intake):
    most = "item_id,deleted\n" + "".join(f"s{n},true\n" for n in range(1, 31))
    intake.land("catalogue/gone-1.csv", most)
    intake.land("catalogue/gone-2.csv", most)
    became = intake.ingest()
    assert [one["status"] for one in became.values()] == ["refused", "refused"]
    assert intake.ingest() == {}
    found = json.loads(intake.run("status", "--json").stdout)
    assert [record["key"] for record in found["refused"]] == [*became]
    assert found["pending"] == []
    (batch,) = {one["batch"] for one in became.values()}
    assert [*intake.ingest("--accept", batch, "--why", "meant")] == ["catalogue/gone-1.csv"]
    (still,) = json.loads(intake.run("status", "--json").stdout)["refused"]
    assert (still["key"], len(intake.items())) == ("catalogue/gone-2.csv", 10)
