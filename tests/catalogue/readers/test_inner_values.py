"""Values inside objects, taken out by a path of `ingest.column_names`, and named where they may be a missing column."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.columns import columns_of
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.params import IngestParams
from recsys.catalogue.readers.inner_values import with_inner
from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import RawRow


def taken(values, paths):
    columns = set(values)
    (row,) = with_inner(iter([RawRow(1, values)]), paths, columns)
    return row.values, columns


@pytest.mark.parametrize(
    ("values", "paths", "expected"),
    [
        (
            {"item": {"id": 7, "size": "L"}},
            {"item.id": "item_id"},
            {"item": {"size": "L"}, "item.id": 7},
        ),
        ({"Item": {"ID": 7}}, {"item.id": "item_id"}, {"item.id": 7}),
        ({"a": {"b": {"c": "x"}}}, {"a.b.c": "title"}, {"a.b.c": "x"}),
        (
            {"creators": [{"name": "Ann"}, {"role": "x"}, {"name": "Bob"}]},
            {"creators.name": "tags"},
            {"creators": [{"name": "Ann"}, {"role": "x"}, {"name": "Bob"}], "creators.name": ["Ann", "Bob"]},
        ),
        ({"title": {"en": "Shoe", "de": "Schuh"}}, {"title.en": "title"}, {"title": "Shoe"}),
        ({"title": {"de": "Schuh"}}, {"title.en": "title"}, {"title": None}),
        ({"title": "Shoe"}, {"title.en": "title"}, {"title": "Shoe"}),
        ({"tags": [{"label": "a"}, {"id": 1}, "b"]}, {"tags.label": "tags"}, {"tags": ["a", "b"]}),
        ({"item": "x", "item.id": 7}, {"item.id": "item_id"}, {"item": "x", "item.id": 7}),
        ({"item": None}, {"item.id": "item_id"}, {"item": None}),
        ({"item": {"id": None}}, {"item.id": "item_id"}, {}),
    ],
)
def test_a_path_takes_a_value_out_of_an_object(values, paths, expected):
    found, columns = taken(values, paths)
    assert found == expected
    assert {*found} <= columns


@given(
    st.recursive(st.none() | st.text(max_size=2), lambda inner: st.dictionaries(st.sampled_from("ab"), inner))
)
def test_a_path_through_any_values_takes_what_a_plain_walk_finds(values):
    row = {"a": values}
    expected = row
    for name in "aba":
        expected = expected.get(name) if isinstance(expected, dict) else None
    assert taken(json.loads(json.dumps(row)), {"a.b.a": "item_id"})[0].get("a.b.a") == expected


def test_paths_count_in_json_and_parquet_and_the_columns_are_ours(landed, params):
    rows = [
        {"item": {"id": "s1", "name": "Shoe"}},
        {"item": {"id": "s2", "name": "Pan"}},
    ]  # not read out of `item`
    names = {"item.id": "item_id", "item.name": "title"}
    mapped = params.model_copy(update={"column_names": {CATALOGUE: names}})
    files = [landed("\n".join(map(json.dumps, rows)))]
    files.append(landed("", ".parquet"))
    pq.write_table(pa.Table.from_pylist(rows), files[1].path)
    for file in files:
        columns, reading = columns_of(CATALOGUE, mapped), read(replace(file, column_names=names))
        columns.survey(reading.rows, reading.columns, file.key)
        assert {columns.names.ours(name) for name in reading.columns} >= {"item_id", "title"}
        again = [columns.names.renamed(row.values) for row in read(replace(file, column_names=names)).rows]
        assert [(row["item_id"], row["title"]) for row in again] == [("s1", "Shoe"), ("s2", "Pan")]


def test_a_header_is_found_by_the_names_that_params_give(landed):
    text = "Products;2026-11-01\nAll shops\nArtikelnr;Name\n1;Shoe\n"
    (row,) = read(replace(landed(text, ".csv"), column_names={"artikelnr": "item_id"})).rows
    assert row.values == {"Artikelnr": "1", "Name": "Shoe"}


def test_a_path_may_spell_the_column_it_stands_for_but_no_other(params):
    words = params.model_dump()
    IngestParams(**words | {"column_names": {CATALOGUE: {"item.id": "item_id"}}})
    with pytest.raises(ValueError, match=r"'item\.id' is a column of catalogue already"):
        IngestParams(**words | {"column_names": {CATALOGUE: {"item.id": "title"}}})


def hint_of(params, kind, row):
    columns = columns_of(kind, params)
    columns.survey(iter([RawRow(1, row)]), set(row), "f.jsonl")
    return columns


def test_values_inside_are_named_where_they_may_be_a_missing_column(params):
    row = {"actor": {"id": "ann", "type": "x"}, "item_id": 1, "properties": {"time": 3}}
    assert hint_of(params, INTERACTIONS, row).names.hints(row) == [
        "no column timestamp: is it 'properties.time'? then set ingest.column_names: "
        "{interactions: {properties.time: timestamp}} in params.yaml, or rename the columns"
    ]


def test_a_list_that_names_items_is_told_from_one_of_pictures(params):
    order = {"id": 1, "lines": [{"product_id": 7}]}
    assert hint_of(params, INTERACTIONS, order).names.list_of_items == "lines"
    assert hint_of(params, CATALOGUE, {"id": 1, "images": [{"id": 2, "src": "x"}]}).names.list_of_items == ""


@pytest.mark.parametrize("inner", [{"product_id": 7, "rating": 5}, [{"product_id": 7}]])
def test_a_name_that_few_rows_have_is_shown_to_nobody_for_it_may_be_a_persons_id(params, inner):
    columns, rows = columns_of(INTERACTIONS, params), [{"ann": inner}, {"bob": inner}, {"eve": inner}]
    columns.survey(iter([RawRow(n, row) for n, row in enumerate(rows)]), {"ann", "bob", "eve"}, "f.jsonl")
    assert columns.names.hints({"ann", "bob", "eve"}) == []
    assert columns.names.list_of_items == "" and not columns.names.candidates(())
