"""Parquet of every type that a writer may choose becomes plain values; what repeats is counted as often as it does."""

import io
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue.readers.opening import read
from recsys.catalogue.readers.rows import LandedFile
from recsys.errors import BatchRefused, RecsysError, UnreadableFile

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MICROSECONDS = int(NOON.timestamp()) * 10**6


def written(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def values(rows, column="x"):
    return [found.get(column) for _, found in rows]


@pytest.mark.parametrize(
    ("column", "plain"),
    [
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([b"a", None], pa.binary_view()), [b"a", None]),
        (pa.array([b"a", None], pa.large_binary()), [b"a", None]),
        (pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
        (pa.array([7, 9, 7]).dictionary_encode(), [7, 9, 7]),
        (pa.array([Decimal("12"), None], pa.decimal128(38, 0)), [12, None]),
        (pa.array([Decimal("12.50"), Decimal("7.00")], pa.decimal128(9, 2)), [12.5, 7]),
        (pa.array([date(2026, 11, 1), None], pa.date32()), [date(2026, 11, 1), None]),
        (pa.array([date(2026, 11, 1), None], pa.date64()), [date(2026, 11, 1), None]),
        (pa.array([time(10, 30), None], pa.time32("s")), ["10:30:00", None]),
        (pa.array([time(10, 30, 0, 5), None], pa.time64("ns")), ["10:30:00.000005", None]),
        (pa.array([timedelta(hours=1), None], pa.duration("ns")), ["1:00:00", None]),
        (pa.array([1.5, None], pa.float16()), [1.5, None]),
        (pa.array([None, None], pa.null()), [None, None]),
        (pa.array([["a", "b"], [], None], pa.list_(pa.string())), [["a", "b"], [], None]),
        (pa.array([["a", "b"], [], None], pa.large_list(pa.large_string())), [["a", "b"], [], None]),
        (pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)), [[1.0, 2.0], [3.0, 4.0]]),
        (pa.array([{"a": "x", "b": 1}, None]), [{"a": "x", "b": 1}, None]),
        (pa.array([[("k", "v")], [], None], pa.map_(pa.string(), pa.string())), [{"k": "v"}, {}, None]),
        (pa.array([[(1, "v")]], pa.map_(pa.int64(), pa.string())), [[[1, "v"]]]),
        (pa.array([[{"a": [NOON]}], None]), [[{"a": [NOON]}], None]),
        (pa.array([b"0" * 16, None], pa.uuid()), ["30303030-3030-3030-3030-303030303030", None]),
    ],
)
def test_every_type_becomes_plain_values(rows_of, column, plain):
    rows, _ = rows_of(written(x=column), ".parquet")
    assert values(rows) == plain


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "tzutc()", "+02:00", "UTC+02:00", "Europe/Berlin", "Mars/Olympus"])
def test_instants_are_utc_whatever_the_zone_is_called(rows_of, unit, zone):
    column = pa.array([MICROSECONDS, None], pa.timestamp("us", zone)).cast(pa.timestamp(unit, zone))
    rows, _ = rows_of(written(x=column, y=pa.array([[value] for value in column])), ".parquet")
    assert values(rows) == [NOON, None]
    assert values(rows, "y") == [[NOON], [None]]


def test_a_categorical_of_pandas_is_its_values(rows_of):
    frame = pd.DataFrame({"item_id": pd.Categorical(["b", "a", "b"])}, index=[5, 6, 7])
    rows, notes = rows_of(frame.to_parquet(), ".parquet")
    assert values(rows, "item_id") == ["b", "a", "b"]
    assert notes == ["column __index_level_0__ (an index that pandas wrote) ignored"]


def test_values_that_nobody_needs_cost_no_row(rows_of):
    late = pa.array([10**15, 0], pa.timestamp("ms"))
    odd = pa.array([b"\xff", b"a"]).view(pa.string())
    rows, notes = rows_of(written(item_id=["a", "b"], listed=late, colour=odd), ".parquet")
    assert values(rows, "item_id") == ["a", "b"]
    assert values(rows, "colour") == [None, "a"]
    assert notes == [
        f"column {name}: values that cannot be read are left out" for name in ("listed", "colour")
    ]
    rows, _ = rows_of(written(item_id=["a", "b"], title=odd, tags=[["x"], ["y"]]), ".parquet")
    assert [found for _, found in rows] == ["not_utf8", {"item_id": "b", "title": "a", "tags": ["y"]}]


@pytest.mark.parametrize("nested", [False, True])
def test_a_value_that_a_dictionary_repeats_counts_each_time(rows_of, nested):
    text = pa.array(["x" * 10**5]).dictionary_encode().take(pa.array([0] * 500))
    column = pa.ListArray.from_arrays(pa.array([0, *[500] * 500], pa.int32()), text) if nested else text
    bomb = written(item_id=[str(n) for n in range(500)], title=column)
    assert len(bomb) < 20_000
    with pytest.raises(BatchRefused, match="holds more than 10 MB once it is decoded"):
        rows_of(bomb, ".parquet", max_decoded_mb=10)
    rows, _ = rows_of(bomb, ".parquet", max_decoded_mb=60)
    assert len(rows) == 500


def test_rows_that_hold_nothing_count_too(rows_of):
    empty = written(x=pa.nulls(200_000, pa.int32()))
    assert len(empty) < 20_000
    with pytest.raises(BatchRefused, match="holds more than 10 MB"):
        rows_of(empty, ".parquet", max_decoded_mb=10)


@pytest.mark.parametrize(
    "name", ["embedding", "vector", "Head", "position"]
)  # some are columns of other kinds
def test_a_column_that_arrow_cannot_read_again_costs_no_row(rows_of, name):
    vectors = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    rows, notes = rows_of(written(item_id=["a", "b"], **{name: vectors}), ".parquet")
    assert [found for _, found in rows] == [{"item_id": "a"}, {"item_id": "b"}]
    assert notes == [f"column {name} ignored: lists of one length, of which some are missing"]


GOOD = written(
    item_id=[f"s{n}" for n in range(50)],
    tags=[["a", "b"]] * 50,
    at=pa.array([MICROSECONDS] * 50, pa.timestamp("us", "UTC")),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(4, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_raises_our_errors_only(tmp_path_factory, changes):
    content = bytearray(GOOD)
    for place, byte in changes:
        content[place] = byte
    path = tmp_path_factory.mktemp("any") / "batch.parquet"
    path.write_bytes(content)
    try:
        list(read(LandedFile(path, "batch.parquet", ".parquet", 200, 4)).rows)
    except RecsysError as error:
        assert "batch.parquet" in str(error)
        assert error.remedy


def test_a_file_that_is_no_parquet_inside_is_refused_by_name(rows_of):
    for content in (b"PAR1", b"PAR1" + b"\0" * 100, GOOD[:-8], b"hello"):
        with pytest.raises(UnreadableFile, match=r"catalogue/batch\.parquet: no complete parquet file"):
            rows_of(content, ".parquet")
