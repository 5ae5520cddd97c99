"""The order of arrival does not matter: events may come before their items."""

from datetime import timedelta

import yaml

from tests.cases.conftest import EVENTS, ITEMS

A_DAY = timedelta(days=1).total_seconds()


def test_events_before_any_catalogue_wait_and_enter_with_their_items(empty_intake):
    intake = empty_intake
    intake.land("interactions/events.jsonl", EVENTS)
    (became,) = intake.ingest().values()
    assert (became["status"], became["n_rows"], became["pending"]) == ("accepted", 60, 60)
    assert "60 interactions wait for items that the catalogue does not hold yet" in intake.output
    assert "are these the catalogue's ids?" in intake.output
    intake.land("catalogue/items.jsonl", ITEMS)
    intake.ingest()
    assert "interactions wait" not in intake.output
    intake.ingest()
    assert "still refused" not in intake.output
    assert len(intake.interactions()) == 60


def test_only_the_items_that_are_missing_are_waited_for(intake):
    intake.land(
        "interactions/more.jsonl",
        [{"user_id": "u1", "item_id": item, "event": "view"} for item in ("s1", "new1", "new2")],
    )
    (became,) = intake.ingest().values()
    assert (became["n_rows"], became["pending"], became["quarantined"]) == (3, 2, {})
    intake.land("catalogue/new.jsonl", [{"item_id": "new1", "title": "Steel water bottle"}])
    intake.ingest()
    assert "1 interaction waits for items" in intake.output
    assert "1 " in intake.run("status").stderr


def test_what_waited_too_long_is_quarantined_and_may_be_landed_again(intake):
    intake.land(
        "interactions/a.jsonl", [{"user_id": "u1", "item_id": i, "event": "view"} for i in ("s1", "never")]
    )
    intake.ingest()
    params = yaml.safe_load(intake.at.params.read_text())
    intake.at.params.write_text(
        yaml.safe_dump(params | {"ingest": params["ingest"] | {"max_pending_days": 7}})
    )
    intake.clock += 8 * A_DAY
    intake.land("catalogue/later.jsonl", [{"item_id": "late", "title": "Steel water bottle"}])
    intake.ingest()
    ((_, line, reason, _),) = intake.quarantined()
    assert (line, reason) == (2, "unknown_item")
    assert len(intake.interactions()) == 61
    before = {path: path.read_bytes() for path in intake.at.data.rglob("*") if path.is_file()}
    intake.ingest()  # nothing more to settle
    assert before == {path: path.read_bytes() for path in intake.at.data.rglob("*") if path.is_file()}
    counts = intake.run("quarantine", "list", "--json").stdout
    assert '"unknown_item"' in counts
    part = next(p for p in intake.at.data.glob("interactions/*-m*"))
    assert part.is_dir()


def test_an_event_of_a_deleted_item_is_no_fault(intake):
    intake.land("catalogue/gone.jsonl", [{"item_id": "s1", "deleted": True}])
    intake.land("interactions/late.jsonl", [{"user_id": "u1", "item_id": "s1", "event": "view"}])
    became = intake.ingest()
    assert became["interactions/late.jsonl"]["status"] == "accepted"
    assert became["interactions/late.jsonl"]["quarantined"] == {}
