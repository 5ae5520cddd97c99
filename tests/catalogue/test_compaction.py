import itertools
import shutil
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.compaction import merge_parts, remove_merged
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.known import live_items, newest_rows
from recsys.catalogue.parts import all_parts, list_parts, next_sequence, part_id, write_part
from recsys.catalogue.quarantine import quarantined_counts
from recsys.catalogue.schemas import CATALOGUE_SCHEMA

START = datetime(2026, 1, 1, tzinfo=UTC)


def put(tmp_path, sequence, rows, backwards=False):
    """A catalogue part from (item_id, day, deleted); its rows may lie in the reverse order of its lines."""
    digest = f"{sequence:02x}" * 32
    name = part_id(sequence, digest)
    full = [
        {
            "item_id": item,
            "title": f"{item} of part {sequence}",
            "description": "",
            "tags": [],
            "image": "",
            "attributes": "{}",
            "updated_at": START + timedelta(days=day),
            "deleted": deleted,
            "part": name,
            "line": line,
        }
        for line, (item, day, deleted) in enumerate(rows, 1)
    ]
    table = pa.Table.from_pylist(full[::-1] if backwards else full, schema=CATALOGUE_SCHEMA)
    record = Arrival(
        part=name, kind=CATALOGUE, source=f"{sequence}.csv", sha256=digest, size=1, arrived_at=START
    )
    return write_part(tmp_path / "var", tmp_path / "data", record, table)


def whole(tmp_path):
    parts = list_parts(tmp_path / "data", CATALOGUE)
    return pa.concat_tables([part.rows() for part in parts])


def reference(rows):
    """The plain rule: latest updated_at, ties by part, then line."""
    best = {}
    for row in sorted(rows, key=lambda row: (row["updated_at"], row["part"], row["line"])):
        best[row["item_id"]] = row
    return sorted(best.values(), key=lambda row: (row["part"], row["line"]))


def test_the_newest_row_wins_and_ties_go_to_the_later_part_then_line(tmp_path):
    put(tmp_path, 1, [("a", 5, False), ("b", 1, False), ("c", 1, False)])
    put(tmp_path, 2, [("a", 4, False), ("b", 1, False), ("b", 1, True)])
    newest = newest_rows(whole(tmp_path)).to_pylist()
    assert [(row["item_id"], row["part"][:6], row["line"]) for row in newest] == [
        ("a", "000001", 1),
        ("c", "000001", 3),
        ("b", "000002", 3),
    ]
    assert live_items(list_parts(tmp_path / "data", CATALOGUE)) == {"a", "c"}
    assert live_items(list_parts(tmp_path / "data", CATALOGUE), pa.array(["a", "b", "nobody"])) == {"a"}


def test_merging_keeps_the_newest_rows_with_their_origin_and_forgets_no_arrival(tmp_path):
    parts = [
        put(tmp_path, 1, [("a", 1, False), ("b", 1, False)]),
        put(tmp_path, 2, [("a", 2, False)]),
        put(tmp_path, 3, [("b", 3, True)]),
    ]
    before = newest_rows(whole(tmp_path)).to_pylist()
    merged = merge_parts(parts, tmp_path / "data", tmp_path / "var")
    assert merged.id.startswith("000003-m")
    assert merged.arrival.merges == tuple(part.id for part in parts)
    assert [record.source for record in merged.arrival.landed()] == ["1.csv", "2.csv", "3.csv"]
    assert merged.rows().to_pylist() == before
    assert [part.id for part in list_parts(tmp_path / "data", CATALOGUE)] == [merged.id]
    assert remove_merged(tmp_path / "data") == tuple(part.id for part in parts)
    assert remove_merged(tmp_path / "data") == ()
    assert [part.id for part in all_parts(tmp_path / "data")] == [merged.id]
    assert next_sequence(tmp_path / "data") == 4


def test_rows_that_lie_in_no_order_of_lines_are_merged_in_it(tmp_path):
    rows = [("a", 1, False), ("b", 1, False), ("a", 2, False), ("c", 1, True)]
    merged = []
    for name in ("straight", "backwards"):
        parts = [put(tmp_path / name, number, rows, backwards=name == "backwards") for number in (1, 2)]
        merged.append(merge_parts(parts, tmp_path / name / "data", tmp_path / name / "var").rows())
    assert merged[0].equals(merged[1]) and merged[0]["item_id"].to_pylist() == ["b", "a", "c"]
    assert merged[0]["line"].to_pylist() == [2, 3, 4] and len(merged[0]["part"].unique()) == 1


def test_a_delete_goes_on_hiding_rows_that_are_older_wherever_they_lie(tmp_path):
    put(tmp_path, 1, [("a", 1, False)])
    later = [put(tmp_path, 2, [("b", 1, False)]), put(tmp_path, 3, [("a", 5, True)])]
    merge_parts(later, tmp_path / "data", tmp_path / "var")
    remove_merged(tmp_path / "data")
    put(tmp_path, 4, [("a", 3, False)])  # came late, says what was true before the delete
    assert live_items(list_parts(tmp_path / "data", CATALOGUE)) == {"b"}


def test_merged_parts_can_be_merged_again(tmp_path):
    first = [put(tmp_path, n, [(f"i{n}", 1, False)]) for n in (1, 2)]
    one = merge_parts(first, tmp_path / "data", tmp_path / "var")
    three = put(tmp_path, 3, [("i1", 2, False)])
    two = merge_parts([one, three], tmp_path / "data", tmp_path / "var")
    assert [part.id for part in list_parts(tmp_path / "data", CATALOGUE)] == [two.id]
    # The first parts have not been removed yet: still nobody sees them.
    assert remove_merged(tmp_path / "data") == (first[0].id, first[1].id, one.id, three.id)
    assert [record.part for record in two.arrival.landed()] == [first[0].id, first[1].id, three.id]
    assert [row["title"] for row in two.rows().to_pylist()] == ["i2 of part 2", "i1 of part 3"]


@pytest.mark.parametrize("chosen", [[0], [], [0, 2], [1, 0]])
def test_only_a_run_of_parts_may_be_merged(tmp_path, chosen):
    parts = [put(tmp_path, n, [(f"i{n}", 1, False)]) for n in (1, 2, 3)]
    with pytest.raises(ValueError, match="is no run of two or more parts"):
        merge_parts([parts[n] for n in chosen], tmp_path / "data", tmp_path / "var")


def test_a_removal_killed_at_any_file_is_finished_by_the_next(tmp_path):
    base = tmp_path / "base"
    parts = [put(base, n, [(f"i{n}", 1, False)]) for n in (1, 2)]
    merged = merge_parts(parts, base / "data", base / "var")
    files = [
        path.relative_to(base)
        for part in parts
        for path in sorted(part.folder.iterdir(), key=lambda p: (p.name == "arrival.json", p.name))
    ]
    for n_removed in range(len(files) + 1):
        root = tmp_path / f"killed-{n_removed}"
        shutil.copytree(base, root)
        for path in files[:n_removed]:
            (root / path).unlink()
        assert [part.id for part in list_parts(root / "data", CATALOGUE)] == [merged.id]
        remove_merged(root / "data")
        assert [folder.name for folder in (root / "data" / CATALOGUE).iterdir()] == [merged.id]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 3), st.booleans()), max_size=6),
        min_size=2,
        max_size=5,
    ),
    st.data(),
)
def test_merging_any_run_changes_no_answer(tmp_path_factory, drawn, data):
    tmp_path = tmp_path_factory.mktemp("merge")
    parts = [put(tmp_path, n, rows) for n, rows in enumerate(drawn, 1)]
    rows = [row for row in whole(tmp_path).to_pylist()]
    assert newest_rows(whole(tmp_path)).to_pylist() == reference(rows)
    live = {row["item_id"] for row in reference(rows) if not row["deleted"]}
    runs = [(i, j) for i, j in itertools.combinations(range(len(parts) + 1), 2) if j - i > 1]
    start, stop = data.draw(st.sampled_from(runs))
    merge_parts(parts[start:stop], tmp_path / "data", tmp_path / "var")
    assert live_items(list_parts(tmp_path / "data", CATALOGUE)) == live
    remove_merged(tmp_path / "data")
    assert live_items(list_parts(tmp_path / "data", CATALOGUE)) == live


def test_interactions_and_quarantine_survive_merging_whole(house, films):
    house.land("catalogue/a.jsonl", films())
    for name in "bcd":
        events = [{"user_id": name, "item_id": f"f{i}", "value": ord(name)} for i in range(1, 11)]
        house.land(
            f"interactions/{name}.jsonl", [*events, {"user_id": name, "item_id": "f1", "value": "many"}]
        )
    house.ingest()
    parts = list_parts(house.at.data, INTERACTIONS)
    rows, counts = house.rows(INTERACTIONS), quarantined_counts(house.at.data)
    merge_parts(parts, house.at.data, house.at.staging)
    remove_merged(house.at.data)
    assert house.rows(INTERACTIONS) == rows
    assert quarantined_counts(house.at.data) == counts
    # What was taken in before the merge is still known.
    house.land("catalogue/again.jsonl", films())
    (outcome,) = house.ingest().outcomes
    assert (outcome.status, outcome.part) == ("unchanged", list_parts(house.at.data, CATALOGUE)[0].id)
