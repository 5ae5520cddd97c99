import json
import os

import pytest

from recsys.catalogue import batch
from recsys.catalogue.batch import BadRows
from recsys.catalogue.fields import BadRow
from recsys.catalogue.kinds import INTERACTIONS
from recsys.catalogue.parts import list_parts
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.catalogue.quarantine import land_again, quarantined_counts, quarantined_rows
from recsys.errors import RecsysError

EVENTS = [
    {"user_id": "ann", "item_id": f"f{i}", "event": "rating", "value": 4.5, "timestamp": 1_600_000_000}
    for i in range(1, 31)
]
LATE = [
    {"user_id": "bob", "item_id": "late", "event": "view", "value": 1, "timestamp": "2024-05-06T07:08:09Z"}
]
A_DAY = 86400


@pytest.fixture
def quarantine(house, films):
    """One accepted part of interactions: an item that never came, a broken value and a line that is not JSON."""
    house.land("catalogue/a.jsonl", films())
    broken = [{"user_id": "cy", "item_id": "f1", "value": "many"}]
    rows = "".join(json.dumps(row) + "\n" for row in EVENTS + LATE + broken)
    house.land("interactions/b.jsonl", f"{rows}not json\n")
    house.ingest()
    too_late(house)
    (part,) = list_parts(house.at.data, INTERACTIONS)
    (landed,) = part.arrival.landed()
    return house, landed.part


def too_late(house):
    """A file lands a hundred days later: what waited for its item has waited too long."""
    house.clock += 100 * A_DAY
    house.land("catalogue/later.jsonl", [{"item_id": f"later-{house.clock}", "title": "A film of later"}])
    return house.ingest()


def again(house, part, reason=None):
    return land_again(house.landing, house.at.data, part, reason, Pseudonyms(house.key))


def test_quarantine_is_counted_by_part_and_reason(quarantine):
    house, part = quarantine
    counts = [(c.part, c.source, c.reason, c.n_rows) for c in quarantined_counts(house.at.data)]
    assert counts == [(part, "b.jsonl", reason, 1) for reason in ("not_json", "unknown_item", "wrong_type")]


def test_a_quarantined_interaction_shows_its_pseudonym_and_only_sound_values(quarantine):
    house, part = quarantine
    late, broken, unreadable = quarantined_rows(house.at.data, part)
    assert json.loads(late["row"]) == {
        "user_pseudonym": Pseudonyms(house.key).of("bob"),
        "item_id": "late",
        "event": "view",
        "value": 1.0,
        "timestamp": "2024-05-06T07:08:09+00:00",
    }
    assert json.loads(broken["row"])["unreadable"] == ["value"]
    assert (unreadable["line"], unreadable["row"]) == (33, "{}")


def test_an_interaction_enters_once_its_item_has_come(quarantine, films):
    house, part = quarantine
    landed = again(house, part)
    assert (landed.key, landed.n_rows, landed.n_lost) == (f"interactions/retry-{part}.jsonl", 1, 2)
    house.land("catalogue/c.jsonl", [{"item_id": "late", "title": "A late film"}])
    assert [o.status for o in house.ingest().outcomes] == ["accepted", "accepted"]
    row = house.rows(INTERACTIONS)[-1]
    assert (row["user"], row["item_id"], row["value"]) == (Pseudonyms(house.key).of("bob"), "late", 1.0)
    assert row["timestamp"].isoformat() == "2024-05-06T07:08:09+00:00"


def test_retrying_twice_takes_nothing_in_twice(quarantine):
    house, part = quarantine
    house.land("catalogue/c.jsonl", [{"item_id": "late", "title": "A late film"}])
    for expected in (["accepted", "accepted"], ["unchanged"]):
        again(house, part)
        assert [o.status for o in house.ingest().outcomes] == expected


def test_a_retry_that_came_too_early_can_be_retried_from_its_own_quarantine(quarantine):
    house, part = quarantine
    landed = again(house, part)
    os.utime(house.landing.path(landed.key), (house.clock, house.clock))
    (too_early,) = house.ingest().outcomes
    assert (too_early.pending, too_early.quarantined) == (1, {})
    too_late(house)
    house.land("catalogue/c.jsonl", [{"item_id": "late", "title": "A late film"}])
    again(house, too_early.part)
    assert [(o.status, o.n_rows, o.pending) for o in house.ingest().outcomes] == [
        ("accepted", 1, 0),
        ("accepted", 1, 0),
    ]


def test_a_pseudonym_without_a_valid_signature_is_no_user(house, films):
    pseudonyms = Pseudonyms("another-key-0123456789")
    stranger = pseudonyms.of("ann")
    forged = {"user_pseudonym": stranger, "user_signature": pseudonyms.signature(stranger), "item_id": "f1"}
    raw = {"user_pseudonym": "ann", "user_signature": Pseudonyms(house.key).signature("ann"), "item_id": "f1"}
    house.land("catalogue/a.jsonl", films())
    house.land("interactions/b.jsonl", [*EVENTS, forged, {"user_pseudonym": stranger, "item_id": "f1"}, raw])
    house.ingest()
    assert house.bad() == [("b.jsonl", line, "unsigned_pseudonym") for line in (31, 32, 33)]


def test_catalogue_rows_are_landed_again_whole(house, films):
    unwanted = {
        "item_id": "x",
        "title": "t" * 40,
        "tags": ["a"],
        "year": 1999,
        "updated_at": "2025-01-02T00:00:00Z",
    }
    house.land("catalogue/a.jsonl", [*films(), unwanted])
    (outcome,) = house.ingest(max_text_chars=39).outcomes
    assert outcome.quarantined == {"text_too_long": 1}
    landed = again(house, outcome.part, "text_too_long")
    assert landed.key == f"catalogue/retry-{outcome.part}-text_too_long.jsonl"
    house.ingest()
    row = house.rows()[-1]
    assert (row["item_id"], row["tags"], row["attributes"]) == ("x", ["a"], '{"year":1999}')
    assert row["updated_at"].isoformat() == "2025-01-02T00:00:00+00:00"


def test_what_cannot_be_landed_again_is_reported(quarantine):
    house, part = quarantine
    with pytest.raises(
        RecsysError, match="no quarantined row of .* with reason not_json can be landed again"
    ):
        again(house, part, "not_json")
    with pytest.raises(RecsysError, match="no part '000009-beef' has been accepted"):
        again(house, "000009-beef")


def test_of_very_many_bad_characters_only_the_reasons_are_kept(monkeypatch):
    monkeypatch.setattr(batch, "MAX_KEPT_CHARS_OF_ALL", 40)
    bad = BadRows()
    for line in (1, 2, 3):
        bad.add(line, BadRow("no_text", "nothing"), {"item_id": "a", "image": "x"})
    assert bad.rows == ['{"image": "x", "item_id": "a"}', "{}", "{}"]
    assert (bad.lines, bad.reasons) == ([1, 2, 3], ["no_text"] * 3)
