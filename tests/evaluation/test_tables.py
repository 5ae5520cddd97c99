import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.catalogue.weighting import Weighting
from recsys.errors import RecsysError, UnreadableFile
from recsys.evaluation.cold_start import make_task
from recsys.evaluation.tables import read_ids, read_interactions, read_items
from recsys.settings import Settings
from tests.conftest import ROOT

SETTINGS = Settings.load(ROOT / "params.yaml")
INGEST, FEEDBACK = SETTINGS.ingest, SETTINGS.feedback


def items(path, *needed):
    return read_items(path, INGEST, needed)


def weights(path):
    """(user, item) -> weight."""
    table = read_interactions(path, INGEST, FEEDBACK).table
    return {(row["user_id"], row["item_id"]): row["weight"] for row in table.to_pylist()}


def test_ids_become_text_whatever_they_were_written_as(tmp_path):
    pq.write_table(pa.table({"item_id": [7, 10], "title": ["a", "b"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"item_id": [7.0, 10.0], "title": ["a", "b"]}), tmp_path / "f.parquet")
    (tmp_path / "a.csv").write_text('item_id,title\n007,"two\nlines"\n10,b\n')
    (tmp_path / "a.jsonl").write_text('{"item_id": 7, "title": "a"}\n{"item_id": " 10", "title": "b"}\n')
    for name in ("a.parquet", "f.parquet", "a.jsonl"):
        assert items(tmp_path / name).table["item_id"].to_pylist() == ["7", "10"], name
    found = items(tmp_path / "a.csv").table  # csv has text alone: leading zeros stay
    assert found.to_pylist() == [{"item_id": "007", "title": "two\nlines"}, {"item_id": "10", "title": "b"}]


def test_columns_have_the_names_that_params_give_them(tmp_path):
    names = {
        "catalogue": {"sku": "item_id"},
        "interactions": {"sku": "item_id", "who": "user_id", "stars": "value"},
    }
    params = INGEST.model_copy(update={"column_names": names})
    (tmp_path / "items.csv").write_text("SKU,title\n7,a\n")
    (tmp_path / "cold.csv").write_text("sku\n7\n")
    (tmp_path / "log.csv").write_text("who,sku,stars\nu,7,5\n")
    assert read_items(tmp_path / "items.csv", params).table["item_id"].to_pylist() == ["7"]
    assert read_ids(tmp_path / "cold.csv", params) == ["7"]
    (row,) = read_interactions(tmp_path / "log.csv", params, FEEDBACK).table.to_pylist()
    assert (row["user_id"], row["item_id"]) == ("u", "7")


def test_every_form_in_which_items_may_land_is_read(tmp_path):
    rows = [{"item_id": f"i{n}", "title": f"chair {n}", "tags": ["a", "b"]} for n in range(3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "array.json").write_text(json.dumps(rows))
    (tmp_path / "a.csv").write_text(
        "item_id;title;tags\n" + "".join(f"i{n};chair {n};a|b\n" for n in range(3))
    )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    expected = items(tmp_path / "a.jsonl").table.select(["item_id", "title", "tags"]).to_pylist()
    assert expected == rows
    for name in ("a.jsonl.gz", "array.json", "a.csv", "a.parquet"):
        assert items(tmp_path / name).table.select(["item_id", "title", "tags"]).to_pylist() == rows, name


def test_categories_large_and_nested_types_are_read_and_an_embedding_is_left_out_and_reported(tmp_path):
    table = pa.table(
        {
            "item_id": pa.array(["a", "b"], pa.large_string()),
            "title": pa.array(["x", "y"]).dictionary_encode(),
            "genres": pa.array([["war", "drama"], ["war"]], pa.large_list(pa.large_string())),
            "embedding": [[0.5] * 384] * 2,
            "blob": [b"\x00\xff", b"\x01"],
            "mixed": ["7", "words"],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = items(tmp_path / "a.parquet")
    assert found.table["title"].to_pylist() == ["x", "y"]
    assert found.table["genres"].to_pylist() == [["war", "drama"], ["war"]]
    assert {"embedding", "blob"}.isdisjoint(found.table.column_names)
    assert "embedding" in " ".join(found.notes) and "blob" in " ".join(found.notes)


def test_values_of_mixed_types_in_one_column_become_text(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"item_id": "a", "title": "x", "more": 7}\n{"item_id": "b", "title": "y", "more": ["p", "q"]}\n'
        '{"item_id": "c", "title": "z"}\n'
    )
    assert items(tmp_path / "a.jsonl").table["more"].to_pylist() == ["7", "p, q", None]


def test_deleted_items_are_left_out_and_reported(tmp_path):
    (tmp_path / "a.csv").write_text("item_id,title,deleted\na,x,false\nb,y,true\n")
    found = items(tmp_path / "a.csv")
    assert found.table["item_id"].to_pylist() == ["a"] and "1 deleted items left out" in found.notes


def test_cold_lists_may_be_tables_or_lines_and_count_each_id_once(tmp_path):
    (tmp_path / "cold.txt").write_text("\ufeffb\n\n a\u00a0\nb\n")
    (tmp_path / "cold.csv").write_text("item_id,user_id\nb,u\n a,u\nb,v\n")
    pq.write_table(pa.table({"item_id": [7.0, 8.0]}), tmp_path / "cold.parquet")
    assert read_ids(tmp_path / "cold.txt", INGEST) == read_ids(tmp_path / "cold.csv", INGEST) == ["b", "a"]
    assert read_ids(tmp_path / "cold.parquet", INGEST) == ["7", "8"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("items.xlsx", b"x", "endings"),
        ("items.csv", b"title\nx\n", "no column 'item_id', it has title"),
        ("items.csv", b"movieId,title\n1,x\n", "is it 'movieId'?"),
        ("items.csv", b"item_id,title\na,x\n,y\n", "line 3: item_id is empty"),
        ("items.jsonl", b'{"item_id": 1.5, "title": "x"}\n', "line 1: item_id 1.5"),
        ("items.jsonl", b'{"item_id": "a", "title": {"x": 1}}\n', "line 1: title"),
        ("items.jsonl", b'{"item_id": \n', "items.jsonl"),
        ("items.parquet", b"PAR1", "items.parquet"),
        ("items.csv", b"", "empty"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_their_fault(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecsysError) as caught:
        items(tmp_path / name)
    assert name in str(caught.value) and words in str(caught.value) and caught.value.remedy


def test_an_empty_cold_list_is_refused(tmp_path):
    (tmp_path / "cold.txt").write_text("\n")
    with pytest.raises(UnreadableFile, match="lists no item"):
        read_ids(tmp_path / "cold.txt", INGEST)


def test_a_cold_table_without_ids_or_with_a_broken_one_is_refused(tmp_path):
    (tmp_path / "cold.csv").write_text("id\n1\n")
    with pytest.raises(UnreadableFile, match=r"no column 'item_id', it has id; is it 'id'\?"):
        read_ids(tmp_path / "cold.csv", INGEST)
    (tmp_path / "cold.jsonl").write_text('{"item_id": "a"}\n{"item_id": ["b"]}\n')
    with pytest.raises(UnreadableFile, match="cold.jsonl, line 2: item_id"):
        read_ids(tmp_path / "cold.jsonl", INGEST)


def test_users_stay_as_they_are_given(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id\nann@example.com,a\n007,a\n")
    assert set(weights(tmp_path / "log.csv")) == {("ann@example.com", "a"), ("007", "a")}
    pq.write_table(pa.table({"user_id": [1.0, 2.0], "item_id": [3.0, 4.0]}), tmp_path / "log.parquet")
    assert set(weights(tmp_path / "log.parquet")) == {("1", "3"), ("2", "4")}


def test_likes_have_weight_dislikes_and_rows_of_no_weight_have_none(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id,Weight\nu,a,2\nu,b,0\nu,c,-1\nu,a,0\nv,d,0.5\n")
    found = read_interactions(tmp_path / "log.csv", INGEST, FEEDBACK)
    liked = {(row["user_id"], row["item_id"]) for row in found.table.to_pylist() if row["weight"] > 0}
    assert liked == {("u", "a"), ("v", "d")}
    assert "3 rows have a weight of 0 or less: no interactions" in found.notes
    assert found.n_rows == 5
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,event,value,timestamp\nu,a,view,,2026-01-01\nu,a,dislike,,2026-01-02\n"
        "u,b,thumbs,-1,2026-01-01\nu,c,rating,1,2026-01-01\n"
    )
    found = weights(tmp_path / "events.csv")
    assert found == {("u", "a"): -1, ("u", "b"): -1, ("u", "c"): 1}


def test_the_first_time_of_a_pair_is_kept(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nu,a,1000000200\nu,a,1000000100\nu,b,\n")
    table = read_interactions(tmp_path / "log.csv", INGEST, FEEDBACK).table
    times = {row["item_id"]: row["timestamp"] for row in table.to_pylist()}
    assert times["a"].timestamp() == 1000000100 and times["b"] is None


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ("", "line 3: weight is empty"),
        ("NULL", "line 3: weight is empty"),
        ("much", "line 3: weight 'much' should be a number"),
        ('"1,250"', "line 3: weight '1,250' has a comma"),
        ("inf", "line 3: weight 'inf' should be a finite number"),
    ],
)
def test_a_weight_that_is_no_number_is_named_with_file_row_column_and_value(tmp_path, weight, words):
    (tmp_path / "log.csv").write_text(f"user_id,item_id,weight\nu,a,1\nu,b,{weight}\nv,a,2\n")
    with pytest.raises(UnreadableFile, match="remedy: correct these rows") as caught:
        weights(tmp_path / "log.csv")
    assert f"log.csv, {words}" in str(caught.value)


def test_weights_with_a_decimal_comma_throughout_are_read(tmp_path):
    (tmp_path / "log.csv").write_text('user_id,item_id,weight\nu,a,"0,5"\nu,b,"0,0"\nv,a,"2,25"\n')
    assert {pair for pair, weight in weights(tmp_path / "log.csv").items() if weight > 0} == {
        ("u", "a"),
        ("v", "a"),
    }


def test_of_many_rows_at_fault_the_first_are_named_and_the_others_counted(tmp_path):
    rows = "".join(f"u,i{n},{'x' if n % 2 else 1}\n" for n in range(20))
    (tmp_path / "log.csv").write_text("user_id,item_id,weight\n" + rows)
    with pytest.raises(UnreadableFile, match=r"line 3: .*line 5: .*and 5 more rows"):
        weights(tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("user_id,title\nu,x\n", "no column 'item_id', it has title, user_id"),
        ("customer_id,item_id\nu,x\n", "is it 'customer_id'?"),
        ("user_id,item_id\n,x\n", "line 2: user_id is missing"),
        ("user_id,item_id\nu,\n", "line 2: item_id is empty"),
        ("user_id,item_id,weight,value\nu,a,1,2\n", "both mean value"),
    ],
)
def test_interactions_that_cannot_be_used_are_named(tmp_path, content, words):
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises(RecsysError) as caught:
        weights(tmp_path / "log.csv")
    assert "log.csv" in str(caught.value) and words in str(caught.value)


def test_no_message_shows_the_id_of_a_user(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"user_id": ["secret-ann"], "item_id": "a"}\n{"user_id": 1.5, "item_id": "b"}\n'
    )
    with pytest.raises(UnreadableFile, match=r"line 1: user_id(.|\n)*line 2: user_id") as caught:
        weights(tmp_path / "log.jsonl")
    assert "secret-ann" not in str(caught.value) and "1.5" not in str(caught.value)


def test_columns_that_are_not_used_are_reported(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,item_id,position\nu,a,1\n")
    assert "position" in " ".join(read_interactions(tmp_path / "log.csv", INGEST, FEEDBACK).notes)


def test_events_are_kept_beside_values_and_weights(tmp_path):
    (tmp_path / "log.csv").write_text(
        "user_id,item_id,event,value\nu,a,View,\nu,a,purchase,20\nu,b,view,\nu,c,return,\n"
    )
    (tmp_path / "weighted.csv").write_text(
        "user_id,item_id,event,weight\nu,a,view,1\nu,b,purchase,2\nu,c,view,0\n"
    )
    for name, expected in (
        ("log.csv", {"a": "purchase view", "b": "view", "c": None}),
        ("weighted.csv", {"a": "view", "b": "purchase", "c": None}),
    ):
        rows = read_interactions(tmp_path / name, INGEST, FEEDBACK).table.to_pylist()
        assert {row["item_id"]: row["events"] for row in rows} == expected, name


def test_events_of_a_log_weigh_in_the_task_that_is_made_of_it(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title\na,x\nb,y\nc,z\nd,new\n")
    (tmp_path / "log.csv").write_text(
        "user_id,item_id,event\nu,a,view\nu,a,purchase\nu,b,view\nu,c,return\nu,d,purchase\nv,b,share\n"
    )
    table = read_interactions(tmp_path / "log.csv", INGEST, FEEDBACK, ["d"]).table
    task = make_task(items(tmp_path / "items.csv").table, table, ["d"], SETTINGS.features)
    weighting = Weighting(events={"view": 0.3, "purchase": 2.0}, dislike=0.5)
    assert task.item_ids == ("a", "b", "c", "d") and task.users == ("u", "v")
    # a return of what nobody likes teaches nothing of the item; the cold item's purchase is dropped
    expected = [[2.0, 0.3, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    assert task.interactions.signals(weighting).toarray() == pytest.approx(np.array(expected))
