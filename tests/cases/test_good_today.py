import json

from tests.cases.conftest import ITEMS


def test_latin1_text_is_quarantined_row_by_row_and_good_rows_enter(intake):
    good = json.dumps({"item_id": "n1", "title": "A café table"}, ensure_ascii=False).encode()
    bad = '{"item_id": "n2", "title": "Un café noir"}'.encode("latin1")
    intake.land(
        "catalogue/mixed.jsonl",
        b"\n".join([good] * 1 + [json.dumps(row).encode() for row in ITEMS] + [bad, b""]),
    )
    became = intake.ingest()["catalogue/mixed.jsonl"]
    assert became["status"] == "accepted"
    assert [reason for _, _, reason, _ in intake.quarantined()] == ["not_utf8"]
    assert intake.items()["n1"]["title"] == "A café table"


def test_an_item_that_comes_later_enters(intake):
    intake.land("catalogue/late.jsonl", [{"item_id": "late", "title": "Steel water bottle"}])
    assert intake.ingest()["catalogue/late.jsonl"]["status"] == "accepted"
    assert "late" in intake.items()
