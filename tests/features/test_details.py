"""What is kept of a catalogue row for pages and filters, and in which types."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.features.details import LIST, NUMBER, TEXT, attribute_array, details_key, item_details

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def rows(*given):
    plain = {"updated_at": NOON, "deleted": False, "part": "000001-aaaaaaaaaa", "line": 1}
    full = [dict.fromkeys(CATALOGUE_SCHEMA.names) | plain | one for one in given]
    for one in full:
        if isinstance(one["attributes"], dict):
            one["attributes"] = json.dumps(one["attributes"])
    return pa.Table.from_pylist(full, CATALOGUE_SCHEMA)


def test_live_rows_are_kept_in_order_without_markup_and_deletes_are_not():
    table = rows(
        {"item_id": "b", "title": "<b>Heat</b>", "description": "one two three four", "image": "x.png"},
        {"item_id": "c", "deleted": True},
        {"item_id": "a", "title": "<p>", "tags": ["crime", "1990s"]},
    )
    found = item_details([table], (), description_chars=9).to_pylist()
    assert [row["item_id"] for row in found] == ["b", "a"]
    assert (found[0]["title"], found[0]["description"], found[0]["image"]) == ("Heat", "one two", "x.png")
    assert (found[1]["title"], found[1]["tags"]) == (
        "<p>",
        ["crime", "1990s"],
    )  # nothing but a tag is the title
    assert found[0]["updated_at"] == NOON


def test_only_attributes_that_are_named_and_there_become_columns_sorted_by_name():
    table = rows(
        {"item_id": "a", "attributes": {"year": 1995, "secret": "no", "brand": "Mann"}},
        {"item_id": "b", "attributes": {"year": "1998"}},
        {"item_id": "c", "attributes": None},
    )
    found = item_details([table], ("year", "brand", "size"), 10)
    assert found.column_names[6:] == ["brand", "year"]
    assert found["year"].to_pylist() == [1995.0, 1998.0, None]
    assert found["brand"].to_pylist() == ["Mann", None, None]


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        ([1, 2.5, "3", "-0.50", None], NUMBER, [1.0, 2.5, 3.0, -0.5, None]),
        (["1", "n/a"], TEXT, ["1", "n/a"]),
        ([1995.0, "old"], TEXT, ["1995", "old"]),
        (["007", "12"], TEXT, ["007", "12"]),
        (["4006381333931999"], TEXT, ["4006381333931999"]),
        ([2**53 + 1], TEXT, ["9007199254740993"]),
        ([True, 1], TEXT, ["true", "1"]),
        ([{"b": 1, "a": "é"}], TEXT, ['{"a": "é", "b": 1}']),
        (["red", ["blue", None, 2], None], LIST, [["red"], ["blue", "2"], None]),
        (["1e5", "0x10", "1.", ".5", "+1", "١"], TEXT, ["1e5", "0x10", "1.", ".5", "+1", "١"]),
    ],
)
def test_a_column_has_the_narrowest_type_that_loses_nothing(values, kind, kept):
    found = attribute_array(values)
    assert found.type == kind and found.to_pylist() == kept


def test_the_key_depends_on_all_that_shapes_the_file_and_not_on_the_order_of_names():
    assert details_key("00", ("a", "b"), 9) == details_key("00", ("b", "a"), 9)
    keys = {
        details_key("00", ("a",), 9),
        details_key("01", ("a",), 9),
        details_key("00", (), 9),
        details_key("00", ("a",), 8),
    }
    assert len(keys) == 4
