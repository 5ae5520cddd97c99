"""Impressions as shops land them, through the real commands: nobody's raw id is kept, and forgetting finds them."""

import json

import pyarrow.parquet as pq

from recsys.catalogue.kinds import IMPRESSIONS
from recsys.catalogue.parts import list_parts
from tests.cases.conftest import ITEMS, empty_intake

__all__ = ["empty_intake"]

SHOWN = [
    {
        "user_id": user, "item_id": f"s{place}", "request": f"list of {len(user)}", "position": place,
        "propensity": 0.25, "timestamp": "2026-10-01T00:00:00Z",
    }
    for user in ("jane@example.org", "u2", "u3") for place in range(1, 9)
]  # fmt: skip


def rows_of(intake):
    return [row for part in list_parts(intake.at.data, IMPRESSIONS) for row in part.rows().to_pylist()]


def test_impressions_keep_request_place_and_propensity_and_no_raw_user(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    empty_intake.land("impressions/day.jsonl", SHOWN)
    became = empty_intake.ingest()["impressions/day.jsonl"]
    assert (became["status"], became["n_rows"], became["quarantined"]) == ("accepted", 24, {})
    rows = rows_of(empty_intake)
    assert [(row["item_id"], row["position"], row["propensity"]) for row in rows[:2]] == [
        ("s1", 1, 0.25),
        ("s2", 2, 0.25),
    ]
    assert len({row["user"] for row in rows}) == 3 and "jane" not in json.dumps(rows, default=str)


def test_odd_places_and_propensities_are_quarantined_and_good_rows_stay(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    odd = [
        SHOWN[0] | {"propensity": 0},
        SHOWN[1] | {"propensity": 1.5},
        SHOWN[2] | {"position": 0},
        SHOWN[3] | {"user_id": ""},
    ]
    bare = [{"user_id": "u9", "item_id": "s1"}]  # neither place, nor propensity, nor time
    empty_intake.land("impressions/day.jsonl", [*SHOWN, *odd, *bare])
    became = empty_intake.ingest()["impressions/day.jsonl"]
    assert became["quarantined"] == {"bad_propensity": 2, "bad_position": 1, "missing_user": 1}
    assert became["n_rows"] == len(SHOWN) + 1


def test_forgetting_a_person_takes_their_impressions_everywhere(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    empty_intake.land("impressions/day.jsonl", [*SHOWN, SHOWN[0] | {"position": 0}])
    empty_intake.ingest()
    empty_intake.run("forget", "jane@example.org")
    assert len(rows_of(empty_intake)) == 16
    (part,) = list_parts(empty_intake.at.data, IMPRESSIONS)
    assert part.quarantined().num_rows == 0
    landed = [path for path in (empty_intake.at.root / "landing").rglob("*") if path.is_file()]
    assert landed and not any(b"jane@example.org" in path.read_bytes() for path in landed)


def test_compacting_merges_impressions_row_by_row(empty_intake):
    empty_intake.land("catalogue/items.jsonl", ITEMS)
    for day in range(2):
        empty_intake.land(f"impressions/day{day}.jsonl", [row | {"request": f"d{day}"} for row in SHOWN])
        empty_intake.ingest()
    before = sorted(json.dumps(row, default=str) for row in rows_of(empty_intake))
    empty_intake.run("compact", "--force")
    assert sorted(json.dumps(row, default=str) for row in rows_of(empty_intake)) == before
    assert len(list_parts(empty_intake.at.data, IMPRESSIONS)) == 1
    assert pq.read_metadata(list_parts(empty_intake.at.data, IMPRESSIONS)[0].rows_path).num_rows == 48
