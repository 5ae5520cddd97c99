"""The texts and rows of the versions of items that a split chose."""

import pyarrow as pa
import pytest

from recsys.dataset.versions import rows_at, taken, texts_of
from recsys.errors import ArtifactMissing

PART, LATER = "000001-aaaaaaaaaa", "000002-bbbbbbbbbb"
VERSIONS = pa.table(
    {
        "item_id": ["b", "a", "a", "c"],
        "part": [PART, PART, LATER, LATER],
        "line": [1, 2, 1, 2],
        "text": ["bee", "old a", "new a", "sea"],
    }
)


def chosen(*rows):
    return pa.Table.from_pylist([{"item_id": item, "part": part, "line": line} for item, part, line in rows])


def test_each_item_has_the_text_of_its_chosen_version():
    items = chosen(("c", LATER, 2), ("a", PART, 2), ("b", PART, 1))
    assert texts_of(items, VERSIONS) == ("sea", "old a", "bee")


def test_a_missing_version_is_named():
    with pytest.raises(ArtifactMissing, match=f"item 'a' has no text from part {LATER}, line 7"):
        texts_of(chosen(("b", PART, 1), ("a", LATER, 7)), VERSIONS)


def test_the_row_of_a_version_is_found_by_part_and_line_in_any_order_and_null_where_there_is_none():
    places = chosen(("c", LATER, 2), ("x", LATER, 9), ("b", PART, 1)).select(["part", "line"])
    assert rows_at(places, VERSIONS).to_pylist() == [3, None, 0]
    assert rows_at(places.slice(0, 0), VERSIONS).to_pylist() == []
    assert rows_at(places, VERSIONS.slice(0, 0)).to_pylist() == [None, None, None]


def test_texts_are_taken_from_columns_that_one_array_of_strings_could_not_hold():
    one = pa.array(["x" * (1 << 20)] * 64)
    column = pa.chunked_array([one] * 32 + [pa.array([], pa.string()), pa.array(["last", None])])
    assert column.nbytes > 2**31  # counted once per chunk, held once
    found = taken(column, pa.array([2048, None, 3, 2049, 100])).to_pylist()
    assert [text and len(text) for text in found] == [4, None, 1 << 20, None, 1 << 20]
    assert taken(pa.chunked_array([], pa.string()), pa.array([None], pa.int64())).to_pylist() == [None]
