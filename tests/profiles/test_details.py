"""Details of live items over segments: the newest row counts, types widen, a file of other items is refused."""

import numpy as np
import pyarrow as pa
import pytest

from recsys.features.details import LIST, NUMBER, SCHEMA, TEXT
from recsys.profiles.details import ItemDetails, open_details, require_items
from recsys.profiles.item_ids import ItemIds
from recsys.profiles.items import Latest
from recsys.storage.tables import write_arrow


def segment(ids, **attributes):
    columns = {name: pa.nulls(len(ids), SCHEMA.field(name).type) for name in SCHEMA.names}
    columns |= {"item_id": pa.array(ids), "title": pa.array([f"title of {one}" for one in ids])}
    return pa.table(columns | attributes)


# Items a and c of the first segment, and the newer b of the second; the third is from before there were details.
LATEST = Latest(
    ItemIds(["a", "c", "b", "old"]), np.array([0, 0, 1, 2], np.int32), np.array([0, 2, 1, 0], np.int64)
)
FIRST = segment(["a", "b", "c"], year=pa.array([1990.0, 1991.0, None]), kind=pa.array(["x", "y", "z"]))
SECOND = segment(["d", "b"], year=pa.array([2000.0, 2001.0]), kind=pa.array([["p"], ["q", "r"]], LIST))


@pytest.fixture
def details():
    return ItemDetails([FIRST, SECOND, None], LATEST)


def test_rows_come_in_the_order_that_was_wanted(details):
    found = details.rows(np.array([2, 3, 0, 2]))
    assert [row["item_id"] for row in found] == ["b", "old", "a", "b"]
    assert [row["title"] for row in found] == ["title of b", None, "title of a", "title of b"]
    assert found[0]["attributes"] == {"year": 2001.0, "kind": ["q", "r"]} and found[1]["attributes"] == {}
    assert details.rows(np.empty(0, np.int64)) == []
    assert details.rows(np.array([1]))[0]["attributes"] == {"kind": "z"}


def test_a_column_covers_all_live_items_with_nulls_where_there_is_nothing(details):
    assert details.attributes == ("kind", "year")
    assert details.column("title").to_pylist() == ["title of a", "title of c", "title of b", None]
    assert details.column("year").type == NUMBER
    assert details.column("year").to_pylist() == [1990.0, None, 2001.0, None]
    assert details.column("tags").type == LIST and details.column("tags").null_count == 4
    with pytest.raises(KeyError, match="wings"):
        details.column("wings")


def test_a_column_has_the_widest_type_of_its_segments():
    assert ItemDetails([FIRST, SECOND, None], LATEST).column("kind").to_pylist() == [
        ["x"],
        ["z"],
        ["q", "r"],
        None,
    ]
    second = segment(["d", "b"], year=pa.array(["?", "soon"]))
    year = ItemDetails([FIRST, second, None], LATEST).column("year")
    assert year.type == TEXT and year.to_pylist() == ["1990", None, "soon", None]


def test_a_file_of_other_items_is_refused():
    require_items(FIRST, 0, LATEST)
    require_items(SECOND, 1, LATEST)
    with pytest.raises(ValueError, match="other items than its segment, which begins with 'b'"):
        require_items(segment(["b", "d"]), 1, LATEST)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (FIRST.slice(1), "2 rows, not 3"),
        (FIRST.select(["title", "item_id"]), "has the columns title, item_id"),
        (FIRST.append_column("year", pa.array([1.0, 2.0, 3.0])), "has the columns"),
        (FIRST.append_column("n", pa.array([1, 2, 3])), "column n of type int64"),
        (FIRST.set_column(1, "title", pa.array([1, 2, 3])), "column title of type int64"),
    ],
)
def test_a_file_that_is_no_details_is_refused(tmp_path, table, words):
    write_arrow(tmp_path / "x", table)
    with pytest.raises(ValueError, match=words):
        open_details(tmp_path / "x", 3)


def test_a_good_file_is_mapped(tmp_path):
    write_arrow(tmp_path / "x", FIRST)
    assert open_details(tmp_path / "x", 3).equals(FIRST)
