"""A shop's own vectors land: width, numbers and norm are checked, per view and source."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.kinds import VECTORS
from recsys.catalogue.known import newest_among
from recsys.catalogue.outcomes import ACCEPTED, REFUSED
from recsys.catalogue.parts import list_parts

FILMS = [{"item_id": str(n), "title": f"Film number {n}"} for n in range(1, 31)]


def row(item, vector, view="audio", source="clap-2023", **more):
    return {"item_id": str(item), "view": view, "source": source, "vector": vector, **more}


def test_vectors_land_in_every_format_as_float32(house):
    house.land("vectors/a.jsonl", [row(1, [0.5, -1, 2]), row(2, "[0.5, -1, 2]"), row(3, "0.5|-1|2")])
    house.land(
        "vectors/b.csv",
        'item_id,view,source,vector\n4,audio,clap-2023,"0.5,-1,2"\n5,audio,clap-2023,0.5 -1. 2\n',
    )
    sink = io.BytesIO()
    whole = {
        "item_id": ["6"],
        "view": ["audio"],
        "source": ["clap-2023"],
        "vector": [np.array([0.5, -1, 2], "f2")],
    }
    pq.write_table(pa.table(whole), sink)
    house.land("vectors/c.parquet", sink.getvalue())
    assert [outcome.status for outcome in house.ingest().outcomes] == [ACCEPTED] * 3
    assert {one["item_id"]: one["vector"] for one in house.rows(VECTORS)} == {
        str(n): [0.5, -1, 2] for n in range(1, 7)
    }


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(9, None), "bad_vector"),
        (row(9, []), "bad_vector"),
        (row(9, [0, 0, 0]), "bad_vector"),
        (row(9, [1.0] * 9000), "bad_vector"),
        (row(9, [1, float("nan"), 1]), "not_finite"),
        (row(9, [1, 1e39, 1]), "not_finite"),
        (row(9, [1, None, 1]), "not_finite"),
        (row(9, ["a", "b", "c"]), "wrong_type"),
        (row(9, "0,5|0,3|0,2"), "wrong_type"),
        (row(9, {"x": 1}), "wrong_type"),
        (row(9, [1, 2]), "other_width"),
        (row("", [1, 2, 3]), "missing_id"),
        (row(9, [1, 2, 3], view=""), "missing_name"),
        (row(9, [1, 2, 3], source=""), "missing_name"),
        (row(9, [1, 2, 3], view="text"), "bad_view"),
        (row(9, [1, 2, 3], view="my own view"), "bad_view"),
    ],
)
def test_a_bad_vector_is_quarantined_and_the_others_stay(house, bad, reason):
    house.land("vectors/a.jsonl", [row(n, [1, 2, n]) for n in range(1, 9)] + [bad])
    (outcome,) = house.ingest(max_quarantined_share=0.5).outcomes
    assert (outcome.status, outcome.n_rows, outcome.quarantined) == (ACCEPTED, 8, {reason: 1})


def test_a_second_width_is_refused_where_the_whole_file_has_it(house):
    house.land("vectors/a.jsonl", [row(n, [1, 2, 3]) for n in range(1, 9)])
    house.land("vectors/b.jsonl", [row(n, [1, 2, 3, 4]) for n in range(1, 9)])
    _, refused = house.ingest().outcomes
    assert refused.status == REFUSED
    assert refused.reasons[0].reason == "other_width"
    assert "name another source" in refused.reasons[0].remedy
    house.land("vectors/b.jsonl", [row(n, [1, 2, 3, 4], source="clap-2026") for n in range(1, 9)])
    (outcome,) = house.ingest().outcomes
    assert outcome.status == ACCEPTED
    newest = newest_among(list_parts(house.at.data, VECTORS), kind=VECTORS)
    assert newest.num_rows == 8  # a view has one vector per item, the newest, whatever made it


def test_of_files_taken_in_together_the_first_one_decides_on_the_width_however_small_it_is(house):
    house.land("vectors/a.jsonl", [row(n, [1, 2, 3]) for n in range(1, 4)])
    house.land("vectors/b.jsonl", [row(n, [1, 2, 3, 4]) for n in range(1, 9)])
    assert [outcome.status for outcome in house.ingest().outcomes] == [ACCEPTED, REFUSED]
    assert {len(one["vector"]) for one in house.rows(VECTORS)} == {3}


def test_the_first_accepted_width_stays_also_after_merging_and_for_files_taken_in_together(house):
    house.land("vectors/a.jsonl", [row(n, [1, 2, 3]) for n in range(1, 9)])
    house.ingest()
    for n in range(6):
        wide = [row(n, [1, 2, 3, 4])] if n == 3 else []
        house.land(f"vectors/small-{n}.jsonl", [row(10 * n + i, [1, 2, 3]) for i in range(9)] + wide)
    outcomes = house.ingest(group_files=2, max_quarantined_share=0.5).outcomes
    assert [outcome.quarantined for outcome in outcomes] == [{}, {}, {}, {"other_width": 1}, {}, {}]
    assert {len(one["vector"]) for one in house.rows(VECTORS)} == {3}


def test_a_delete_needs_neither_vector_nor_source(house):
    house.land("vectors/a.jsonl", [row(n, [1, 2, 3], updated_at="2026-01-01T00:00:00Z") for n in range(1, 9)])
    house.land("vectors/b.csv", "item_id,view,deleted,updated_at\n3,audio,true,2026-01-02T00:00:00Z\n")
    assert [outcome.status for outcome in house.ingest().outcomes] == [ACCEPTED] * 2
    newest = newest_among(list_parts(house.at.data, VECTORS), kind=VECTORS).to_pylist()
    assert {one["item_id"] for one in newest if one["deleted"]} == {"3"}


def test_the_report_says_how_many_items_each_view_covers(house):
    house.land("catalogue/films.jsonl", FILMS)
    house.land(
        "vectors/a.jsonl", [row(1, [1, 2]), row(2, [1, 2]), row(99, [1, 2]), row(1, [1, 2, 3], view="clip")]
    )
    outcome = house.ingest().outcomes[1]
    assert "view audio: vectors of 2 of the catalogue's 30 items (7%)" in outcome.notes
    assert "view clip: vectors of 1 of the catalogue's 30 items (3%)" in outcome.notes


@pytest.mark.whole
def test_wide_vectors_of_many_items_stay_within_the_readers_memory(house):
    n_items, width = 20_000, 256
    vectors = np.ones((n_items, width), np.float32)
    columns = {
        "item_id": pa.array([str(n) for n in range(n_items)]),
        "view": pa.array(["audio"] * n_items),
        "source": pa.array(["clap"] * n_items),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    house.land("vectors/large.parquet", sink.getvalue())
    (outcome,) = house.ingest(reader_memory_mb=512).outcomes
    assert (outcome.status, outcome.n_rows) == (ACCEPTED, n_items)
