"""JSON as search engines, databases and web services export it: rows inside other objects, values with their types."""

import json
from dataclasses import replace

import pytest

from recsys.catalogue.readers.opening import read
from recsys.errors import UnreadableFile

ROWS = [{"item_id": "s1", "title": "Red shoe"}, {"item_id": "s2", "title": "Pan"}]
BARE = [{"title": "Red shoe"}, {"title": "Pan"}]


def lines(rows):
    return "\n".join(map(json.dumps, rows))


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"products": ROWS}, "products"),
        ({"items": ROWS, "search_criteria": {"page_size": 2}, "total_count": 2}, "items"),
        (
            {"data": {"products": {"edges": [{"cursor": "x", "node": row} for row in ROWS]}}},
            "data.products.edges",
        ),
        ({"data": {"products": {"nodes": ROWS}}}, "data.products.nodes"),
        (
            {
                "took": 3,
                "hits": {"total": {"value": 2}, "hits": [{"_index": "p", "_source": row} for row in ROWS]},
            },
            "hits.hits",
        ),
        ({"schema": {"fields": [{"name": "item_id"}]}, "data": ROWS}, "data"),  # pandas, orient="table"
    ],
)
def test_the_list_of_an_answer_is_read(rows_of, answer, path):
    for text in (json.dumps(answer), json.dumps(answer, indent=2)):
        rows, notes = rows_of(text)
        assert rows == [(1, ROWS[0]), (2, ROWS[1])]
        assert notes == [f"the rows were read out of the list {path!r}: each counts as a line"]


@pytest.mark.parametrize(
    "answer",
    [
        {"data": {"products": {"edges": [{"node": ROWS[0]}], "pageInfo": {"hasNextPage": True}}}},
        {"data": [ROWS[0]], "links": {"next": "https://shop.example/products?page=2"}},
        {"results": [ROWS[0]], "next": "https://shop.example/products?page=2"},
        {"object": "list", "url": "/v1/products", "has_more": True, "data": [ROWS[0]]},
        {"kind": "productsList", "nextPageToken": "abc", "resources": [ROWS[0]]},
        {"data": [ROWS[0]], "meta": {"pagination": {"links": {"next": "?page=2"}}}},
    ],
)
def test_a_page_that_is_not_the_last_says_so(rows_of, answer):
    rows, notes = rows_of(json.dumps(answer))
    assert rows == [(1, ROWS[0])]
    assert notes[1] == "the file is one page of an answer, and the answer has more: land every page"


@pytest.mark.parametrize(
    "answer",
    [
        {"items": ROWS, "total_count": 1200},
        {"hits": {"total": {"value": 1200, "relation": "eq"}, "hits": [{"_source": row} for row in ROWS]}},
        {"data": ROWS, "meta": {"pagination": {"page": 1, "total": 1200}}},
        {"response": {"numFound": 1200, "start": 0, "docs": ROWS}},
    ],
)
def test_an_answer_that_counts_more_rows_than_it_holds_says_so(rows_of, answer):
    rows, notes = rows_of(json.dumps(answer))
    assert rows == [(1, ROWS[0]), (2, ROWS[1])]
    assert notes[1:] == ["the answer counts 1,200 rows, and this file holds 2: land every page"]


@pytest.mark.parametrize(
    ("rows", "inner"),
    [
        ([{"_index": "p", "_id": "7", "_score": 1, "_source": row} for row in ROWS], "_source"),
        ([{"node": row} for row in ROWS], "node"),
        ([{"id": "7", "type": "product", "attributes": row} for row in ROWS], "attributes"),
        (
            [{"_airbyte_ab_id": "x", "_airbyte_emitted_at": 1, "_airbyte_data": row} for row in ROWS],
            "_airbyte_data",
        ),
        ([{"product": row} for row in ROWS], "product"),
        (
            [{"product": row | {"variants": [{"id": "1"}], "images": [{"src": "a"}]}} for row in ROWS],
            "product",
        ),
        (
            [{"_index": "p", "_id": "7", "_seq_no": 3, "found": True, "_source": row} for row in ROWS],
            "_source",
        ),
    ],
)
def test_rows_inside_another_object_are_read(rows_of, rows, inner):
    for text in (lines(rows), json.dumps(rows), json.dumps(rows[0])):
        found, notes = rows_of(text)
        assert [values["item_id"] for _, values in found] == ["s1", "s2"][: len(found)]
        assert notes == [f"each row was read out of the object {inner!r} around it"]


def test_an_id_outside_belongs_to_a_row_without_one(rows_of):
    found, _ = rows_of(lines({"_index": "p", "_id": str(n), "_source": row} for n, row in enumerate(BARE)))
    assert [values for _, values in found] == [{"_id": "0", **BARE[0]}, {"_id": "1", **BARE[1]}]
    found, _ = rows_of(json.dumps({"data": [{"id": "7", "type": "product", "attributes": BARE[0]}]}))
    assert found == [(1, {"id": "7", "type": "product", **BARE[0]})]


def test_a_row_without_the_inner_object_is_one_bad_row(rows_of):
    text = lines([{"node": ROWS[0]}, {"node": ROWS[1]}, {"node": None}, {"cursor": "x"}, {"node": ROWS[0]}])
    assert [values for _, values in rows_of(text)[0]] == [*ROWS, "not_json", "not_json", ROWS[0]]


@pytest.mark.parametrize("inner", ["fields", "_source", "product"])
def test_a_value_that_only_some_rows_have_beside_the_inner_object_is_not_lost(rows_of, inner):
    rows = [{inner: ROWS[0]}, {inner: ROWS[1]}, {inner: ROWS[0], "price": 3}, {inner: ROWS[0]}]
    assert [values for _, values in rows_of(lines(rows))[0]] == [*ROWS, "not_json", ROWS[0]]
    assert rows_of(lines(rows[1:])) == ([(1, rows[1]), (2, rows[2]), (3, rows[3])], [])


def test_a_broken_row_at_the_beginning_spoils_itself_alone(rows_of):
    found, _ = rows_of(
        '{"_id": "0", "_source": {"title"\n' + lines({"_id": "1", "_source": row} for row in BARE)
    )
    assert [values for _, values in found] == ["not_json", {"_id": "1", **BARE[0]}, {"_id": "1", **BARE[1]}]


def test_what_is_no_object_in_the_list_of_an_answer_is_one_bad_row(rows_of):
    assert [values for _, values in rows_of(json.dumps({"items": [None, *ROWS]}))[0]] == ["not_json", *ROWS]


def test_the_lists_beside_the_rows_of_an_answer_are_left_out(rows_of):
    answer = {
        "data": [{"id": "7", "attributes": BARE[0]}],
        "included": [{"id": "b", "attributes": {"name": "B"}}],
    }
    assert rows_of(json.dumps(answer))[0] == [(1, {"id": "7", **BARE[0]})]


def test_a_bulk_request_is_read_without_its_actions(rows_of):
    text = lines([{"index": {"_index": "p", "_id": "7"}}, BARE[0], {"create": {}}, ROWS[1]])
    found, notes = rows_of(text)
    assert found == [(2, {"_id": "7", **BARE[0]}), (4, ROWS[1])]
    assert notes == ["the action lines of a bulk request were left out"]


@pytest.mark.parametrize(
    ("rows", "problem", "remedy"),
    [
        ([{"index": {"_id": "1"}}, ROWS[0], {"delete": {"_id": "2"}}], "line 3: .*'delete'", "deleted: true"),
        ([{"before": None, "after": ROWS[0], "op": "c"}], "Debezium", "ExtractNewRecordState"),
        ([{"schema": {}, "payload": {"before": None, "after": ROWS[0], "op": "c"}}], "Debezium", "Extract"),
        ([{"Item": {"item_id": {"S": "a"}, "tags": {"L": [{"S": "b"}]}}}], "DynamoDB", "jq -c"),
        ([{"error": {"code": 401, "message": "no such key"}}], "an error", "ask it again"),
        ([{"fields": ["x"], "rows": [["a"]]}], "a list of lists", "orient='records'"),
        ([{"-Na": {"title": "Sofa"}, "-Nb": {"title": "Couch"}}], "rows by their ids", "to_entries"),
        ([{"products": ROWS, "brands": [{"name": "b"}]}], "2 lists of objects", "jq -c"),
        ([{"Items": [{"item_id": {"S": "a"}}], "Count": 1}], "DynamoDB", "Items"),
        ([{"item_id": {"S": "a"}, "title": {"S": "b"}}], "DynamoDB", "jq -c"),
        (
            [{"index": {"_id": "1"}}, ROWS[0], {"update": {"_id": "2", "retry_on_conflict": 3}}],
            "'update'",
            "whole",
        ),
        (
            [{"data": {"products": {"nodes": ROWS}}, "errors": [{"message": "m"}]}],
            "answer with errors",
            "ask",
        ),
        ([{"products": []}], "answer without rows", "need not land"),
    ],
)
def test_other_forms_are_refused_by_name(rows_of, rows, problem, remedy):
    with pytest.raises(UnreadableFile, match=rf"{problem}[\s\S]*{remedy}"):
        rows_of(lines(rows))


@pytest.mark.parametrize("id_name", ["id", "sku", "visitorId"])
def test_the_lists_of_a_row_are_no_table(rows_of, id_name):
    row = {id_name: "7", "name": "Shoe", "variants": [{"size": "S"}, {"size": "M"}]}
    assert rows_of(json.dumps(row)) == ([(1, row)], [])


def test_an_event_that_lists_items_is_a_row(rows_of):
    event = {"event_date": "20261001", "event_name": "view", "visitor": "1.2", "items": [{"item_id": "s1"}]}
    assert rows_of(json.dumps(event)) == ([(1, event)], [])


def test_keys_that_may_be_a_persons_id_are_not_shown(landed, tmp_path):
    file = replace(landed(json.dumps({"ann": [{"item_id": "a"}]})), key="interactions/x.json")
    reading = read(file)
    assert [row.values for row in reading.rows] == [{"item_id": "a"}]
    assert reading.notes == ["the rows were read out of the list inside: each counts as a line"]
    some = lines([{"ann": {"item_id": "a"}}, {"ann": {"item_id": "b"}}, {"bob": {"item_id": "c"}}])
    *_, last = read(replace(landed(some), key="interactions/x.json")).rows
    assert last.fault.detail == "no object inside, which holds the other rows"


def test_values_of_mongodb_are_read_as_what_they_stand_for(rows_of):
    row = {
        "_id": {"$oid": "65a1"},
        "stock": {"$numberInt": "5"},
        "views": {"$numberLong": "9007199254740993"},
        "price": {"$numberDecimal": "12.90"},
        "weight": {"$numberDouble": "0.5"},
        "made": {"$date": "2026-01-02T03:04:05Z"},
        "sold": {"$date": {"$numberLong": "1767323045500"}},
        "first": {"$date": {"$numberLong": "-86400000"}},
        "gone": {"$undefined": True},
        "raw": {"$binary": {"base64": "AA==", "subType": "00"}},
        "tags": [{"name": {"$symbol": "sport"}}],
    }
    assert rows_of(json.dumps(row))[0] == [
        (
            1,
            {
                "_id": "65a1",
                "stock": 5,
                "views": 9007199254740993,
                "price": 12.9,
                "weight": 0.5,
                "made": "2026-01-02T03:04:05Z",
                "sold": "2026-01-02T03:04:05.500000+00:00",
                "first": "1969-12-31T00:00:00+00:00",
                "gone": None,
                "raw": {"$binary": {"base64": "AA==", "subType": "00"}},
                "tags": [{"name": "sport"}],
            },
        )
    ]


@pytest.mark.parametrize(
    "value", [{"$numberInt": "five"}, {"$numberLong": 5.7}, {"$oid": 5}, {"$date": {"$numberLong": "9" * 30}}]
)
def test_a_typed_value_that_is_none_of_its_type_is_a_bad_row(rows_of, value):
    assert rows_of(lines([ROWS[0], {"item_id": "x", "made": value}]))[0][1] == (2, "wrong_type")


def test_several_answers_one_per_line_are_the_pages_of_one_question(rows_of):
    pages = [
        {
            "took": 3,
            "hits": {"total": {"value": 3}, "hits": [{"_id": "1", "_source": {"title": "Red shoe"}}]},
        },
        {"took": 3, "hits": {"total": {"value": 3}, "hits": []}},
        {"took": 3, "hits": {"total": {"value": 3}, "hits": [{"_id": "2", "_source": {"title": "Pan"}}]}},
        {"error": "gone"},
    ]
    rows, notes = rows_of(lines(pages))
    assert rows == [
        (1, {"_id": "1", "title": "Red shoe"}),
        (3, {"_id": "2", "title": "Pan"}),
        (4, "not_json"),
    ]
    assert notes == [
        "the rows were read out of the list 'hits.hits': each counts as a line",
        "the answer counts 3 rows, and this file holds 2: land every page",
    ]


def test_what_stands_beside_a_list_may_belong_to_its_rows_so_such_lines_are_no_answers(rows_of):
    carts = [{"session": 1, "events": [{"aid": 7}]}, {"session": 2, "events": [{"aid": 8}]}]
    assert rows_of(lines(carts)) == ([(1, carts[0]), (2, carts[1])], [])


@pytest.mark.parametrize(
    ("around", "outer"),
    [
        (lambda row: {"schema": {"type": "struct", "fields": []}, "payload": row}, {}),  # Kafka Connect
        (lambda row: {"specversion": "1.0", "id": "e", "source": "/s", "type": "t", "data": row}, {}),
        (lambda row: {"id": "rec1", "createdTime": "2026-01-01", "fields": row}, {"id": "rec1"}),  # Airtable
    ],
)
def test_rows_are_read_out_of_events_and_records(rows_of, around, outer):
    rows, _ = rows_of(lines(map(around, BARE)))
    assert rows == [(1, BARE[0] | outer), (2, BARE[1] | outer)]


def test_an_id_beside_data_belongs_to_the_row_unless_it_is_an_events(rows_of):
    rows = [{"id": 5, "type": "product", "data": BARE[0]}, {"id": 6, "type": "product", "data": BARE[1]}]
    assert rows_of(lines(rows)) == ([(1, rows[0]), (2, rows[1])], [])


def test_values_of_firestore_and_sparql_are_read_as_what_they_stand_for(rows_of):
    row = {
        "item_id": {"type": "uri", "value": "http://x/Q1"},
        "title": {"type": "literal", "xml:lang": "en", "value": "Dune"},
        "pages": {"integerValue": "412"},
        "tags": {
            "arrayValue": {
                "values": [{"stringValue": "sf"}, {"mapValue": {"fields": {"a": {"nullValue": None}}}}]
            }
        },
        "none": {"arrayValue": {}},
        "kept": {"type": "button", "value": "x"},
    }
    assert rows_of(json.dumps(row))[0][0][1] == {
        "item_id": "http://x/Q1",
        "title": "Dune",
        "pages": 412,
        "tags": ["sf", {"a": None}],
        "none": [],
        "kept": {"type": "button", "value": "x"},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"leader": "00000nam", "fields": [{"001": "ocm1"}]}, "MARC"),
        ({"schema": {"fields": []}, "rows": [{"f": [{"v": "s1"}]}]}, "BigQuery"),
        ({"data": {"cols": [{"name": "item_id"}], "rows": [["s1"]]}}, "names of the columns stand beside"),
    ],
)
def test_rows_without_names_are_refused_by_name(rows_of, content, message):
    with pytest.raises(UnreadableFile, match=message):
        rows_of(json.dumps(content))


def test_a_line_that_is_no_object_says_what_it_is_instead(landed):
    text = lines([ROWS[0], ["s1", "Shoe"], json.dumps(ROWS[0]), 5])
    faults = [row.fault.detail for row in read(landed(text)).rows if row.fault]
    assert [fault.partition(":")[0] for fault in faults] == [
        "a list of values without names",
        "a text that holds JSON, so it was encoded twice",
        "the line is JSON, but no object {…}",
    ]
