"""Rows of a landed file in memory and on disk: the same rows, some of them, and only the columns that are asked for."""

import numpy as np
import pyarrow as pa
import pytest

from recsys.catalogue.landed_rows import LandedRows, open_checked, spooled

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string()), ("tags", pa.list_(pa.string()))])


def batch(*ids):
    return pa.RecordBatch.from_pylist([{"id": n, "text": f"t{n}", "tags": ["x"] * n} for n in ids], SCHEMA)


@pytest.fixture(params=["memory", "disk"])
def rows(request, tmp_path):
    batches = [batch(0, 1, 2), batch(3), batch(4, 5)]
    if request.param == "memory":
        return LandedRows(pa.Table.from_batches(batches))
    return spooled(iter(batches), SCHEMA, tmp_path / "spool")


def ids(rows):
    return rows.table(["id"])["id"].to_pylist()


def test_columns_come_in_the_order_in_which_they_are_asked_for(rows):
    found = rows.table(["tags", "id"])
    assert found.column_names == ["tags", "id"]
    assert found.slice(2, 1).to_pylist() == [{"tags": ["x", "x"], "id": 2}]
    assert rows.table().schema == SCHEMA and rows.num_rows == 6


def test_some_of_some_rows_are_those_of_both(rows):
    some = rows.where(np.array([True, False, True, True, False, True]))
    assert (ids(some), some.num_rows) == ([0, 2, 3, 5], 4)
    fewer = some.where(np.array([False, True, False, True]))
    assert (ids(fewer), fewer.num_rows, ids(some)) == ([2, 5], 2, [0, 2, 3, 5])
    assert [one.num_rows for one in fewer.batches()] == [1, 1]
    assert ids(fewer.where(np.array([False, False]))) == []
    assert rows.where(np.ones(6, bool)) is rows


def test_rows_can_be_saved_over_the_file_that_they_are_in(rows, tmp_path):
    place = tmp_path / "spool"
    some = rows.where(np.array([True, False, True, True, False, True]))
    some.save(place)
    assert open_checked(place).table().equals(some.table())
    assert ids(rows) == [0, 1, 2, 3, 4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["spool"]


def test_a_file_that_another_process_damaged_is_noticed(tmp_path):
    place = tmp_path / "spool"
    spooled([batch(*range(500))], SCHEMA, place)
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 0xFF
    place.write_bytes(content)
    with pytest.raises((pa.ArrowException, OSError)):
        open_checked(place)


def test_rows_without_any_row_have_a_schema(tmp_path):
    assert open_checked_empty(tmp_path).table().schema == SCHEMA


def open_checked_empty(folder):
    spooled([], SCHEMA, folder / "empty")
    return open_checked(folder / "empty")
