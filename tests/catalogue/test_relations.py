"""Relations land, are judged, replace each other and are merged like every other kind."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.batch import READERS
from recsys.catalogue.compaction import compact_above
from recsys.catalogue.consistency import KnownHashes, check_parts, describe
from recsys.catalogue.kinds import KINDS, RELATIONS
from recsys.catalogue.known import newest_among
from recsys.catalogue.outcomes import ACCEPTED, REFUSED, UNCHANGED
from recsys.catalogue.parts import list_parts
from recsys.catalogue.schemas import SCHEMAS

FILMS = [{"item_id": str(n), "title": f"Film number {n}"} for n in range(1, 31)]
HEAT = {"head": "1", "relation": "director", "tail": "Michael Mann"}


def triples(house):
    return [(row["head"], row["relation"], row["tail"]) for row in house.rows(RELATIONS)]


def standing(house):
    newest = newest_among(list_parts(house.at.data, RELATIONS), kind=RELATIONS).to_pylist()
    return {(row["head"], row["relation"], row["tail"]) for row in newest if not row["deleted"]}


def test_every_kind_has_its_schema_and_its_reader():
    assert list(KINDS) == list(SCHEMAS) == list(READERS)
    for name, kind in KINDS.items():
        stored = {"user" if column == "user_id" else column for column in kind.columns}
        assert stored <= {*SCHEMAS[name].names}
        assert {*kind.key, *kind.names, kind.time} <= {*SCHEMAS[name].names}
        assert {*kind.ids, *kind.tags, *kind.numbers, kind.time} <= {*kind.columns}


def test_a_graph_lands_in_every_format_and_ids_are_trimmed(house):
    house.land("relations/a.jsonl", [HEAT, {"head": " 2 ", "relation": "director", "tail": "Mann\u200b"}])
    house.land("relations/b.csv", "Head,Relation,Tail\n3.0,stars,Al Pacino\n4.0,stars,Val Kilmer\n")
    house.land("relations/c.tsv", "head\trelation\ttail\n导演\t作品\t盗火线\n")
    sink = io.BytesIO()
    pq.write_table(pa.table({"head": [5, 6], "relation": ["sequel_of"] * 2, "tail": [6, 5]}), sink)
    house.land("relations/d.parquet", sink.getvalue())
    assert [outcome.status for outcome in house.ingest().outcomes] == [ACCEPTED] * 4
    assert triples(house) == [
        ("1", "director", "Michael Mann"),
        ("2", "director", "Mann"),
        ("3", "stars", "Al Pacino"),
        ("4", "stars", "Val Kilmer"),
        ("导演", "作品", "盗火线"),
        ("5", "sequel_of", "6"),
        ("6", "sequel_of", "5"),  # a cycle is a fact like any other
    ]


def test_bad_rows_are_quarantined_and_the_others_stay(house):
    rows = [{"head": str(n), "relation": "genre", "tail": "crime"} for n in range(40)]
    bad = [
        {"head": "", "relation": "genre", "tail": "crime"},
        {"head": "41", "relation": "genre"},
        {"head": "42", "relation": "genre", "tail": "x" * 600},
        {"head": "43\x07", "relation": "genre", "tail": "crime"},
        {"head": "44", "relation": "genre", "tail": "crime", "updated_at": "2999-01-01T00:00:00Z"},
        {"head": ["45"], "relation": "genre", "tail": "crime"},
    ]
    house.land("relations/a.jsonl", rows + bad)
    (outcome,) = house.ingest(max_quarantined_share=0.5).outcomes
    assert outcome.n_rows == 40
    assert outcome.quarantined == {
        "missing_name": 2, "id_too_long": 1, "bad_id": 1, "future_timestamp": 1, "wrong_type": 1,
    }  # fmt: skip
    (part,) = list_parts(house.at.data, RELATIONS)
    kept = {row["line"]: json.loads(row["row"]) for row in part.quarantined().to_pylist()}
    assert kept[42] == {
        "head": "41",
        "relation": "genre",
        "updated_at": kept[42]["updated_at"],
        "deleted": False,
    }


def test_a_file_without_tails_is_refused_and_names_the_column_that_may_be_it(house):
    house.land("relations/a.csv", "subject,predicate,object\n1,genre,crime\n")
    (outcome,) = house.ingest().outcomes
    assert outcome.status == REFUSED
    assert [problem.check for problem in outcome.problems][0] == "missing_columns"
    assert "{relations: {subject: head, predicate: relation, object: tail}}" in outcome.problems[0].remedy


def test_a_delete_takes_a_relation_back_whatever_the_order_of_arrival(house):
    early, late = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
    house.land("relations/gone.jsonl", [HEAT | {"deleted": True, "updated_at": late}])
    house.land(
        "relations/there.jsonl", [HEAT | {"updated_at": early}, HEAT | {"tail": "Crime", "relation": "genre"}]
    )
    first, second = house.ingest().outcomes
    assert "1 deletes name relations that the workspace never held" in first.notes
    assert second.superseded == 1
    assert standing(house) == {("1", "genre", "Crime")}


def test_the_same_file_again_changes_nothing_and_repeats_in_a_file_are_one(house):
    rows = [HEAT, HEAT, {"head": "2", "relation": "director", "tail": "Michael Mann"}]
    rows = [row | {"updated_at": "2026-01-01T00:00:00Z"} for row in rows]
    house.land("relations/a.jsonl", rows)
    (outcome,) = house.ingest().outcomes
    assert (outcome.n_rows, outcome.superseded) == (2, 1)
    house.land("relations/b.jsonl", rows)
    assert [outcome.status for outcome in house.ingest().outcomes] == [UNCHANGED]
    assert len(list_parts(house.at.data, RELATIONS)) == 1


def test_deleting_most_of_a_graph_needs_a_person(house):
    rows = [{"head": str(n), "relation": "genre", "tail": "crime"} for n in range(40)]
    house.land("relations/a.jsonl", [row | {"updated_at": "2026-01-01T00:00:00Z"} for row in rows])
    house.land(
        "relations/b.jsonl", [row | {"updated_at": "2026-01-02T00:00:00Z", "deleted": True} for row in rows]
    )
    _, refused = house.ingest().outcomes
    assert [problem.check for problem in refused.problems] == ["mass_delete"]
    assert "the workspace's relations" in refused.problems[0].message
    assert len(standing(house)) == 40


def test_relations_about_people_never_enter(house):
    people = [{"head": "1", "relation": "customer_email", "tail": f"jane{n}@example.org"} for n in range(3)]
    unreadable = {"head": "1", "relation": "customer_email", "tail": {"mail": "jane@example.org"}}
    house.land("relations/a.jsonl", [HEAT, *people, unreadable])
    (outcome,) = house.ingest(max_quarantined_share=0.9).outcomes
    assert outcome.n_rows == 1
    assert "3 rows left out: customer_email is about people (ingest.personal_columns)" in outcome.notes
    assert not [path for path, content in house.bytes_written().items() if b"example.org" in content]


def test_further_columns_are_dropped_and_named(house):
    house.land("relations/a.jsonl", [HEAT | {"weight": 3}])
    (outcome,) = house.ingest().outcomes
    assert any(note.startswith("column weight is ignored") for note in outcome.notes)


def test_the_report_says_how_many_items_the_graph_covers(house):
    house.land("catalogue/films.jsonl", FILMS)
    house.land(
        "relations/a.jsonl",
        [HEAT, {"head": "Michael Mann", "relation": "directed", "tail": "2"}, HEAT | {"head": "an entity"}],
    )
    _, outcome = house.ingest().outcomes
    assert "relations of 2 of the catalogue's 30 items (7%)" in outcome.notes


def test_merged_parts_keep_the_newest_row_of_each_relation(house):
    for n, deleted in enumerate([False, True, False], 1):
        row = {"updated_at": f"2026-01-0{n}T00:00:00Z", "deleted": deleted}
        house.land(
            f"relations/{n}.jsonl", [HEAT | row, {"head": str(n), "relation": "genre", "tail": "crime"} | row]
        )
    house.ingest()
    before = standing(house)
    (merged,) = compact_above(house.at.data, house.at.staging, max_parts=1)
    assert (
        standing(house)
        == before
        == {("1", "director", "Michael Mann"), ("1", "genre", "crime"), ("3", "genre", "crime")}
    )
    assert merged.rows().num_rows == 4  # one per relation, the delete included
    assert list_parts(house.at.data, RELATIONS) == (merged,)


def test_checks_across_parts_count_what_stands(house):
    house.land("catalogue/films.jsonl", FILMS)
    house.land("relations/a.jsonl", [HEAT, HEAT | {"head": "2"}])
    house.land("relations/b.jsonl", [HEAT | {"deleted": True}])
    house.ingest(max_deleted_share=1.0)
    parts = check_parts(house.at.data, KnownHashes(house.at.var / "hashes.json"))
    assert describe(parts)["relations"] == {"live": 1, "deleted": 1}
    path = list_parts(house.at.data, RELATIONS)[0].rows_path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match="000002"):
        check_parts(house.at.data, KnownHashes(house.at.var / "none.json"))


def test_many_small_files_become_one_part(house):
    for n in range(12):
        house.land(f"relations/{n:02}.jsonl", [{"head": str(n), "relation": "genre", "tail": "crime"}])
    house.ingest(group_files=3)
    assert len(list_parts(house.at.data, RELATIONS)) == 1 and len(standing(house)) == 12
