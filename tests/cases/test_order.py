"""The order of arrival does not matter: events may come before their items."""

from datetime import timedelta

import yaml

from tests.cases.conftest import EVENTS, SHOP

A_DAY = timedelta(days=1).total_seconds()


def test_events_before_any_catalogue_wait_and_enter_with_their_items(empty_shop):
    shop = empty_shop
    shop.land("interactions/events.jsonl", EVENTS)
    (became,) = shop.ingest().values()
    assert (became["status"], became["n_rows"], became["pending"]) == ("accepted", 60, 60)
    assert "60 interactions wait for items that the catalogue does not hold yet" in shop.said
    assert "are these the catalogue's ids?" in shop.said
    shop.land("catalogue/shop.jsonl", SHOP)
    shop.ingest()
    assert "interactions wait" not in shop.said
    shop.ingest()
    assert "still refused" not in shop.said
    assert len(shop.interactions()) == 60


def test_only_the_items_that_are_missing_are_waited_for(shop):
    shop.land(
        "interactions/more.jsonl",
        [{"user_id": "u1", "item_id": item, "event": "view"} for item in ("s1", "new1", "new2")],
    )
    (became,) = shop.ingest().values()
    assert (became["n_rows"], became["pending"], became["quarantined"]) == (3, 2, {})
    shop.land("catalogue/new.jsonl", [{"item_id": "new1", "title": "Steel water bottle"}])
    shop.ingest()
    assert "1 interaction waits for items" in shop.said
    assert "1 " in shop.run("status").stderr


def test_what_waited_too_long_is_quarantined_and_may_be_landed_again(shop):
    shop.land(
        "interactions/a.jsonl", [{"user_id": "u1", "item_id": i, "event": "view"} for i in ("s1", "never")]
    )
    shop.ingest()
    params = yaml.safe_load(shop.at.params.read_text())
    shop.at.params.write_text(yaml.safe_dump(params | {"ingest": params["ingest"] | {"max_pending_days": 7}}))
    shop.clock += 8 * A_DAY
    shop.land("catalogue/later.jsonl", [{"item_id": "late", "title": "Steel water bottle"}])
    shop.ingest()
    ((_, line, reason, _),) = shop.quarantined()
    assert (line, reason) == (2, "unknown_item")
    assert len(shop.interactions()) == 61
    before = {path: path.read_bytes() for path in shop.at.data.rglob("*") if path.is_file()}
    shop.ingest()  # nothing more to settle
    assert before == {path: path.read_bytes() for path in shop.at.data.rglob("*") if path.is_file()}
    counts = shop.run("quarantine", "list", "--json").stdout
    assert '"unknown_item"' in counts
    part = next(p for p in shop.at.data.glob("interactions/*-m*"))
    assert part.is_dir()


def test_an_event_of_a_deleted_item_is_no_fault(shop):
    shop.land("catalogue/gone.jsonl", [{"item_id": "s1", "deleted": True}])
    shop.land("interactions/late.jsonl", [{"user_id": "u1", "item_id": "s1", "event": "view"}])
    became = shop.ingest()
    assert became["interactions/late.jsonl"]["status"] == "accepted"
    assert became["interactions/late.jsonl"]["quarantined"] == {}
