"""Many small files that wait together become one part; each is judged by itself, whatever kills the run."""

import json
from pathlib import Path

import pytest
import yaml

from recsys.artifacts import Artifacts
from recsys.catalogue import accepting
from recsys.catalogue.compaction import compact_above
from recsys.catalogue.grouping import grouped
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS, KINDS
from recsys.catalogue.landing import Landed, arrived
from recsys.catalogue.params import IngestParams
from recsys.catalogue.parts import list_parts
from recsys.catalogue.quarantine import quarantined_counts, quarantined_rows
from recsys.catalogue.taking import Intake
from recsys.storage.folder import FolderStorage
from tests.catalogue.conftest import House
from tests.catalogue.test_landing import WHEN

N = 12


def land_small(house):
    """Twelve files of one row, among them one that cannot be read and one that is all bad; then one of events."""
    for n in range(N):
        rows = [{"item_id": f"t{n}", "title": f"A tiny film, number {n}"}]
        house.land(
            f"catalogue/{n:02}.jsonl",
            "not json" if n == 4 else [{"item_id": "bare", "title": ""}] if n == 7 else rows,
        )
    house.land("catalogue/12.jsonl", [{"item_id": "t0", "title": "The newest text of the first"}])
    house.land("interactions/a.jsonl", [{"user_id": "ann", "item_id": "t1"}])


def test_small_files_become_one_part_and_each_keeps_its_own_name_and_verdict(house):
    land_small(house)
    outcomes = {o.key.rpartition("/")[2]: o for o in house.ingest().outcomes}
    assert {name for name, o in outcomes.items() if o.status == "refused"} == {"04.jsonl", "07.jsonl"}
    assert outcomes["07.jsonl"].can_be_accepted and not outcomes["04.jsonl"].can_be_accepted
    (part,) = list_parts(house.at.data, CATALOGUE)
    assert part.id.startswith("000011-m") and part.arrival.merges == ()
    records = part.arrival.landed()
    assert [record.source for record in records] == [f"{n:02}.jsonl" for n in range(13) if n not in (4, 7)]
    assert [record.part for record in records] == [outcomes[record.source].part for record in records]
    rows = part.rows().to_pylist()
    assert [(row["part"], row["line"]) for row in rows] == [(record.part, 1) for record in records]
    assert {stored.key for stored in house.landing.list("processed/")} == {
        f"processed/{o.part}/{name}" for name, o in outcomes.items() if o.part
    }
    assert [stored.key for stored in house.landing.list("catalogue/")] == [
        "catalogue/04.jsonl",
        "catalogue/07.jsonl",
    ]
    assert [p.id[:6] for p in list_parts(house.at.data, INTERACTIONS)] == ["000012"]
    assert "11 of 11 rows" in part.report_path.read_text()


def test_quarantined_rows_of_a_small_file_are_found_by_its_own_name(house):
    for n in range(N):
        rows = [{"item_id": f"t{n}x{i}", "title": f"A tiny film {n} {i}"} for i in range(9)]
        house.land(f"catalogue/{n:02}.jsonl", [*rows, {"item_id": "bare"}] if n == 3 else rows)
    outcomes = house.ingest().outcomes
    (part,) = list_parts(house.at.data, CATALOGUE)
    name = outcomes[3].part
    assert [(c.part, c.source, c.reason) for c in quarantined_counts(house.at.data)] == [
        (name, "03.jsonl", "no_text")
    ]
    assert [row["line"] for row in quarantined_rows(house.at.data, name)] == [10]
    page = part.report_path.read_text()
    assert "03.jsonl" in page and "02.jsonl" not in page


def test_of_the_same_item_in_small_files_the_last_wins_and_older_ones_say_so(house):
    for n in range(N):
        house.land(
            f"catalogue/{n:02}.jsonl",
            [{"item_id": "a", "title": f"Text {n}", "updated_at": 1_700_000_000 - n}],
        )
    outcomes = house.ingest().outcomes
    assert [o.superseded for o in outcomes] == [0] + [1] * (N - 1)
    assert "a: this row is of 2023-11-14 22:13:19" in outcomes[1].notes[0]


class Killed(BaseException):
    pass


def first_part(house):
    return {k: v for k, v in house.bytes_written().items() if k.startswith("data/catalogue/000011")}


def land_after_the_kill(house):
    house.land("catalogue/13.jsonl", [{"item_id": "t13", "title": "It landed after the kill"}])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same files at the same times, taken in by runs that nothing kills: bytes of the first part, and all ids."""
    root = tmp_path_factory.mktemp("undisturbed")
    values = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())["ingest"]
    twin = House(Artifacts(root), str(root / "landing"), IngestParams(**values | {"trial_rows": 0}))
    land_small(twin)
    twin.ingest()
    land_after_the_kill(twin)
    twin.ingest()
    return first_part(twin), sorted(twin.ids())


@pytest.mark.whole
@pytest.mark.parametrize(
    "place", ["begin", "accept", "write_part", "page", "first move", "third move", "end"]
)
def test_a_group_that_is_killed_anywhere_ends_with_the_same_bytes(house, undisturbed, monkeypatch, place):
    land_small(house)
    calls = []

    def killing(owner, name, at_call=1):
        original = getattr(owner, name)

        def method(*arguments, **keywords):
            calls.append(1)
            if len(calls) >= at_call:
                raise Killed
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, method)

    from recsys.catalogue import taking
    from recsys.catalogue.grouping import Plan

    killing(
        *{
            "begin": (Intake, "_read", 5),
            "accept": (taking, "accept"),
            "write_part": (accepting, "write_part"),
            "page": (Intake, "_publish_page"),
            "first move": (FolderStorage, "take"),
            "third move": (FolderStorage, "take", 3),
            "end": (Plan, "end"),
        }[place]
    )
    with pytest.raises(Killed):
        house.ingest()
    monkeypatch.undo()
    land_after_the_kill(house)
    house.ingest()
    part, ids = undisturbed
    assert part and part == first_part(house)
    assert sorted(house.ids()) == ids
    assert house.landing.list("catalogue/") != [] and not house.at.taking.exists()


def landed(n, size=100, kind=CATALOGUE):
    return Landed(kind, f"{kind}/{n:05}.jsonl", size, WHEN, str(n))


def test_only_small_files_in_a_row_are_taken_together(params):
    limits = params.model_copy(update={"small_file_kb": 1, "group_files": 2, "group_mb": 1})
    sizes = [10, 10, 10, 5000, 10, 10, 5000, 10, 10, 10, 10]
    files = [landed(n, size) for n, size in enumerate(sizes)]
    assert [len(group) for group in grouped(files, limits, [])] == [3, 1, 1, 1, 1, 4]
    both = [*files[:3], *(landed(n, kind=INTERACTIONS) for n in range(3))]
    assert [group[0].kind for group in grouped(both, limits, [])] == [CATALOGUE, INTERACTIONS]
    many = [landed(n, 1024) for n in range(2500)]
    assert [len(group) for group in grouped(many, limits, [])] == [1024, 1024, 452]
    left = [(file.shown, file.version) for file in files[4:6]]
    assert next(grouped(files, limits, left)) == tuple(files[4:6])


def test_parts_above_the_limit_are_merged_and_every_landed_file_is_still_known(house, films):
    for n in range(4):
        house.land(f"catalogue/{n}.jsonl", films(3, first=10 * n))
    house.ingest()
    ids = sorted(house.ids())
    (merged,) = compact_above(house.at.data, house.at.staging, 3)
    assert [part.id for part in list_parts(house.at.data, CATALOGUE)] == [merged.id]
    assert (sorted(house.ids()), len(merged.arrival.landed())) == (ids, 4)
    assert compact_above(house.at.data, house.at.staging, 3) == []
    assert (
        json.loads((merged.folder / "arrival.json").read_text())["merged_arrivals"][0]["source"] == "0.jsonl"
    )


def test_the_landing_zone_is_listed_once_however_many_files_wait(house, monkeypatch):
    for n in range(30):
        house.land(f"catalogue/{n:03}.jsonl", [{"item_id": f"t{n}", "title": f"A tiny film {n}"}])
    surveys = []
    survey = FolderStorage.survey
    monkeypatch.setattr(FolderStorage, "survey", lambda *a: surveys.append(a[1]) or survey(*a))
    monkeypatch.setattr(
        FolderStorage, "list", lambda *a: pytest.fail("a file's place is asked for, not all of them")
    )
    house.ingest()
    assert surveys == [f"{kind}/" for kind in KINDS]
    monkeypatch.undo()
    assert arrived(house.landing) == ()
