import json

from tests.cases.conftest import SHOP


def test_latin1_text_is_quarantined_row_by_row_and_good_rows_enter(shop):
    good = json.dumps({"item_id": "n1", "title": "A café table"}, ensure_ascii=False).encode()
    bad = '{"item_id": "n2", "title": "Un café noir"}'.encode("latin1")
    shop.land(
        "catalogue/mixed.jsonl",
        b"\n".join([good] * 1 + [json.dumps(row).encode() for row in SHOP] + [bad, b""]),
    )
    became = shop.ingest()["catalogue/mixed.jsonl"]
    assert became["status"] == "accepted"
    assert [reason for _, _, reason, _ in shop.quarantined()] == ["not_utf8"]
    assert shop.items()["n1"]["title"] == "A café table"


def test_an_item_that_comes_later_enters(shop):
    shop.land("catalogue/late.jsonl", [{"item_id": "late", "title": "Steel water bottle"}])
    assert shop.ingest()["catalogue/late.jsonl"]["status"] == "accepted"
    assert "late" in shop.items()
