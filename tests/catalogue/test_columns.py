"""Values of one column: ids, numbers, truths, tags, further columns. All are a value, missing or a bad row."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.attributes import Attributes
from recsys.catalogue.columns import Columns
from recsys.catalogue.fields import BadRow, is_missing, plain_id
from recsys.catalogue.folding import folded
from recsys.catalogue.forms import NumberForm
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.likely_columns import likely_names
from recsys.catalogue.readers.rows import RawRow
from recsys.catalogue.tags import TagForm
from recsys.errors import BatchRefused

MISSING = ("nan", "None", "NULL", "\\N")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
)
VALUES = st.recursive(
    SCALARS
    | st.sampled_from([*MISSING, "1.0", "t", "4,5", "1,250", "{a,b}", "['a']", "20261101", "a, b", "a;b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


def surveyed(kind, *rows):
    columns = Columns(kind, MISSING)
    columns.survey(
        iter(RawRow(n, row) for n, row in enumerate(rows)), {name for row in rows for name in row}, "f.jsonl"
    )
    return columns


def read_all(kind, name, method, values):
    columns = surveyed(kind, *({name: value} for value in values))
    return [getattr(columns, method)({name: value}, name) for value in values]


@given(st.lists(VALUES, max_size=5), st.sampled_from([CATALOGUE, INTERACTIONS]))
def test_every_value_is_a_value_missing_or_a_bad_row(values, kind):
    names = {
        "item_id": "identifier",
        "value" if kind == INTERACTIONS else "deleted": "number" if kind == INTERACTIONS else "flag",
    }
    names |= (
        {"title": "text", "updated_at": "moment", "tags": "labels"}
        if kind == CATALOGUE
        else {"timestamp": "moment"}
    )
    rows = [dict.fromkeys(names, value) for value in values]
    columns = surveyed(kind, *rows)
    for row in rows:
        for name, method in names.items():
            try:
                getattr(columns, method)(row, name)
            except BadRow as fault:
                assert fault.reason and name in fault.detail
    assert all(isinstance(note, str) for note in columns.notes())


@given(st.text())
def test_a_plain_id_is_final_and_ids_that_look_alike_are_one(text):
    found = plain_id(text)
    assert plain_id(found) == found
    assert plain_id(f" \u200b{text}\ufeff\u00a0") == found
    assert plain_id(unicodedata.normalize("NFD", text)) == found


@given(
    st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1),
    st.sampled_from([float, lambda n: f"{n}.0", str, int]),
)
def test_whole_numbers_are_one_id_in_every_type(numbers, write):
    assert read_all(CATALOGUE, "item_id", "identifier", list(map(write, numbers))) == list(map(str, numbers))


def test_texts_that_end_in_point_zero_are_names_where_one_is_no_number():
    assert read_all(CATALOGUE, "item_id", "identifier", ["1.0", "v2.0", "3.00"]) == ["1.0", "v2.0", "3.00"]
    assert read_all(CATALOGUE, "item_id", "identifier", ["1.0", "None", None, "3.00"]) == ["1", "", "", "3"]
    assert read_all(CATALOGUE, "item_id", "identifier", ["1001,0", "7,0"]) == ["1001", "7"]
    assert read_all(CATALOGUE, "item_id", "identifier", ["1,000", "7,0"]) == ["1,000", "7,0"]
    assert read_all(CATALOGUE, "item_id", "identifier", ["007", "08"]) == ["007", "08"]


@pytest.mark.parametrize("value", [1.5, float("inf"), 2.0**60, "4.0E+12", ["a"], {"a": 1}, True])
def test_what_is_no_id_is_a_bad_row(value):
    with pytest.raises(BadRow, match="item_id"):
        read_all(CATALOGUE, "item_id", "identifier", [value])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["4,5", "3"], [4.5, 3.0]),
        (["4,5", "1,250"], [4.5, 1.25]),
        (["4.5", "1e3", ".5", "-2"], [4.5, 1000.0, 0.5, -2.0]),
        ([3, 2.5, "nan", None], [3.0, 2.5, None, None]),
        (["1.299,00 €", "49,90 €", "2.500", "-3"], [1299.0, 49.9, 2500.0, -3.0]),
        (["$1,250.50", "$1,250", "$ 3.5", "7"], [1250.5, 1250.0, 3.5, 7.0]),
        (["0,125", "1234,567", "1,250"], [0.125, 1234.567, 1.25]),
    ],
)
def test_numbers_are_read_as_their_column_has_them(values, expected):
    assert read_all(INTERACTIONS, "value", "number", values) == expected


def test_one_odd_number_does_not_make_decimals_unclear():
    form = NumberForm("value")
    values = ["12.345", "0.5"] * 20 + ["1.299,00"]
    for value in values:
        form.observe(value)
    assert [form.read(value) for value in values[:2]] == [12.345, 0.5]
    with pytest.raises(BadRow, match="comma that may separate thousands"):
        form.read(values[-1])


@pytest.mark.parametrize(
    "values",
    [
        ["1,250"],
        ["4,5", "4.5"],
        ["4,5", "1.250"],
        ["1.299,00", "1,299.00"],
        ["1.299,00", "4.5"],
        ["1,299.00", "4,5"],
        ["0.125", "1.299,00"],
        ["1,299.00", "0,125"],
        ["12.345"] * 20 + ["1.299,00"],
        ["12,345"] * 20 + ["1,299.00"],
        ["12,345.6,7"],
        ["12 €", "12 $"],
        ["2.500 €", "30 €"],
        ["€"],
        ["1_000"],
        ["five"],
        ["0x1f"],
        ["1 000"],
    ],
)
def test_numbers_that_may_be_meant_otherwise_are_bad_rows(values):
    with pytest.raises(BadRow, match="value"):
        read_all(INTERACTIONS, "value", "number", values)


def test_details_of_interactions_hold_no_values_and_those_of_the_catalogue_do():
    with pytest.raises(BadRow) as of_person:
        read_all(INTERACTIONS, "timestamp", "moment", ["secret"])
    with pytest.raises(BadRow) as of_item:
        read_all(CATALOGUE, "updated_at", "moment", ["soon"])
    assert "secret" not in of_person.value.detail and "'soon'" in of_item.value.detail


def test_columns_are_ours_whatever_their_case_and_two_of_one_meaning_are_refused():
    columns = surveyed(CATALOGUE, {"Item ID": "a", "TITLE": "b", "colour": "c"})
    assert columns.names.renamed({"Item ID": "a", "TITLE": "b", "colour": "c"}) == {
        "item_id": "a",
        "title": "b",
        "colour": "c",
    }
    assert columns.notes() == ["column 'Item ID' read as item_id", "column 'TITLE' read as title"]
    with pytest.raises(BatchRefused, match="'Title' and 'title' both mean title"):
        surveyed(CATALOGUE, {"title": "a"}, {"Title": "b"})
    assert folded("Updated-At") == folded("updatedAt") == folded("updated_at")


def test_columns_that_may_be_a_missing_one_are_named_likeliest_first():
    assert likely_names({"SKU", "Product ID", "title"}, "item_id") == ["Product ID", "SKU"]
    assert likely_names({"title"}, "item_id") == []
    assert surveyed(CATALOGUE, {"item_id": 1, "Body (HTML)": "x"}).names.hints(
        {"item_id", "Body (HTML)"}
    ) == [
        "no column description: is it 'Body (HTML)'? then set ingest.column_names: "
        "{catalogue: {'Body (HTML)': description}} in params.yaml, or rename the columns"
    ]


def test_several_columns_that_may_be_meant_make_one_line_for_params():
    columns = Columns(CATALOGUE, MISSING, given={"text": "description"})
    row = {"item_id": 1, "Name": "x", "text": "y", "genre": "z"}
    columns.survey(iter([RawRow(1, row)]), set(row), "f.jsonl")
    assert columns.names.hints(row) == [
        "no column title and tags: are they 'Name' and 'genre'? then set ingest.column_names: "
        "{catalogue: {Name: title, genre: tags}} in params.yaml, or rename the columns"
    ]


def test_a_rating_under_another_name_is_told_since_it_would_count_as_a_like():
    row = {"user_id": 1, "item_id": 2, "rating": 1.0, "timestamp": 881250949}
    assert surveyed(INTERACTIONS, row).names.hints(row) == [
        "no column value: is it 'rating'? then set ingest.column_names: {interactions: {rating: value}} "
        "in params.yaml, or rename the columns"
    ]
    assert surveyed(INTERACTIONS, row | {"value": 1.0}).names.hints(row | {"value": 1.0}) == []


def tags_of(*values):
    form = TagForm("tags", frozenset(MISSING))
    for value in values:
        form.observe(value)
    return [form.read(value) for value in values], form.notes()


def test_commas_separate_tags_only_where_a_column_has_short_parts_throughout():
    assert tags_of("a, b", "c, d", "e")[0] == [["a", "b"], ["c", "d"], ["e"]]
    assert tags_of("a, b", "c", "d", "e")[0] == [["a, b"], ["c"], ["d"], ["e"]]
    found, notes = tags_of("A pan, heavy and made of the best steel there is.", "a, b")
    assert found == [["A pan, heavy and made of the best steel there is."], ["a, b"]]
    assert "kept whole" in notes[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('{"a, b",c,NULL}', ["a, b", "c"]),
        ('{"a\\"b"}', ['a"b']),
        ("['it''s', 'b']", ["its", "b"]),
        ("[1, 2]", ["1", "2"]),
        ("[limited]", ["[limited]"]),
        ("[[a]", ["[[a]"]),
        ("{a", ["{a"]),
        ("[" * 5000 + "]" * 5000, ["[" * 5000 + "]" * 5000]),
        (("a", "b"), ["a", "b"]),
        (["a", " a ", "", None, "nan"], ["a"]),
        ([{"id": 28, "name": "a"}, {"id": 12, "name": "b"}], ["a", "b"]),
        ("[{'id': 28, 'name': 'a'}]", ["a"]),
    ],
)
def test_tags_in_brackets(value, expected):
    assert tags_of(value)[0] == [expected]


@pytest.mark.parametrize(
    "value", [{"a": 1}, '{"a": 1}', "{'a': 1}", 7, b"a", [["a"]], [{"id": "a"}], [{"name": ["a"]}], [1.5]]
)
def test_what_is_no_list_of_tags_is_a_bad_row_with_its_remedy(value):
    with pytest.raises(BadRow, match="land a list of texts"):
        tags_of(value)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4))
def test_further_columns_never_cost_the_row_and_are_sound_json(further):
    attributes = Attributes((), 200, lambda value: is_missing(value, frozenset(MISSING)))
    written = attributes.written(further)
    assert len(written) <= 200
    found = json.loads(written, parse_constant=pytest.fail)
    left_out = set(attributes.ignored())
    assert set(found) | left_out == {
        name for name, value in further.items() if not is_missing(value, frozenset(MISSING))
    }


def test_a_long_value_costs_no_other():
    attributes = Attributes((), 100, lambda value: value is None)
    assert json.loads(attributes.written({"a": "x" * 90, "b": "y" * 60, "c": 1})) == {"b": "y" * 60, "c": 1}
    assert attributes.ignored() == {"a": "1 values left out: too long to keep"}


@pytest.mark.parametrize("value", [b"a", float("inf"), [1.0] * 50, "x\0", "\ud800", "z" * 200, {"a": {1, 2}}])
def test_a_column_that_becomes_text_must_be_kept(value):
    attributes = Attributes(("a",), 100, lambda value: value is None)
    with pytest.raises(BadRow, match="features.fields"):
        attributes.written({"a": value, "b": 1})


def test_a_name_that_params_give_a_column_counts_where_the_file_lacks_our_own():
    def renamed(row):
        columns = Columns(CATALOGUE, MISSING, given={"Sku": "item_id", "product": "title"})
        columns.survey(iter([RawRow(1, row)]), set(row), "f.jsonl")
        return columns.names.renamed(row)

    assert renamed({"SKU": "a", "Product": "b"}) == {"item_id": "a", "title": "b"}
    assert renamed({"sku": "a", "item_id": "b"}) == {"sku": "a", "item_id": "b"}


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("a.jpg", "a.jpg"),
        ({"id": 7, "src": "a.jpg"}, "a.jpg"),
        ([{"url": "a.jpg"}, {"url": "b.jpg"}], "a.jpg"),
        ({}, ""),
        ([], ""),
        (None, ""),
        ({"src": None}, ""),
    ],
)
def test_a_picture_is_named_by_a_text_or_as_shops_name_it(value, address):
    assert read_all(CATALOGUE, "image", "address", [value]) == [address]


def test_an_object_that_names_no_picture_is_a_bad_row():
    with pytest.raises(BadRow, match="wrong_type"):
        read_all(CATALOGUE, "image", "address", [{"id": 7}])
