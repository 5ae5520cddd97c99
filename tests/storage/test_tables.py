"""Arrow files: the same bytes each time, mapped, and nothing in a foreign one leads outside of it."""

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys.storage import tables
from recsys.storage.tables import in_blocks, map_arrow, map_foreign_arrow, write_arrow


def no_check(table):
    pass


TABLE = pa.table({"name": ["ab", "c"], "n": pa.array([[1], [2, 3]], pa.list_(pa.int32()))})


def test_a_table_comes_back_from_the_same_bytes(tmp_path):
    write_arrow(tmp_path / "a", TABLE)
    write_arrow(tmp_path / "b", TABLE)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert map_arrow(tmp_path / "a").equals(TABLE) and map_foreign_arrow(tmp_path / "a", no_check).equals(
        TABLE
    )


def test_mapped_columns_take_no_memory(tmp_path):
    write_arrow(tmp_path / "a", pa.table({"n": np.zeros(10**6)}))
    before = pa.total_allocated_bytes()
    table = map_foreign_arrow(tmp_path / "a", no_check)
    assert len(table) == 10**6 and pa.total_allocated_bytes() - before < 10**5


def resident_kb():
    """Memory of this process that lies in files."""
    found = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1])


def test_memory_that_checks_took_is_given_back(tmp_path):
    write_arrow(tmp_path / "a", pa.table({"n": np.ones(8 * 10**6)}))  # 64 MB
    during = []

    def check(table):
        pc.sum(table["n"])
        during.append(resident_kb())

    before = resident_kb()
    table = map_foreign_arrow(tmp_path / "a", check)
    assert during[0] - before > 50_000 and resident_kb() - before < 10_000
    assert pc.sum(table["n"]).as_py() == 8 * 10**6


def test_what_a_check_refuses_is_refused(tmp_path):
    def check(table):
        raise ValueError(f"has {len(table)} rows")

    write_arrow(tmp_path / "a", TABLE)
    with pytest.raises(ValueError, match="has 2 rows"):
        map_foreign_arrow(tmp_path / "a", check)
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        map_foreign_arrow(tmp_path / "a", no_check)


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    write_arrow(tmp_path / "a", TABLE.slice(0, 0))
    assert map_foreign_arrow(tmp_path / "a", no_check).schema == TABLE.schema


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -9])
def test_a_file_that_is_cut_off_is_no_arrow_file(tmp_path, cut):
    write_arrow(tmp_path / "a", TABLE)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:cut])
    with pytest.raises(pa.ArrowException):
        map_arrow(tmp_path / "a")


def test_offsets_that_lead_outside_and_texts_that_are_none_are_refused(tmp_path):
    write_arrow(tmp_path / "a", TABLE.select(["name"]))
    content, offsets = (tmp_path / "a").read_bytes(), np.array([0, 2, 3], np.int32).tobytes()
    assert content.count(offsets) == 1
    for wrong in ([0, 2, 10**6], [0, -4, 3], [0, 3, 2]):
        (tmp_path / "a").write_bytes(content.replace(offsets, np.array(wrong, np.int32).tobytes()))
        with pytest.raises(pa.ArrowException):
            map_foreign_arrow(tmp_path / "a", no_check)
    texts = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff"))
    write_arrow(tmp_path / "a", pa.table({"name": texts}))
    with pytest.raises(pa.ArrowException, match="UTF8"):
        map_foreign_arrow(tmp_path / "a", no_check)


def test_a_compressed_file_is_refused(tmp_path):
    table = pa.table({"name": ["x" * 10**6]})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(tmp_path / "a", table.schema, options=options) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match="is compressed"):
        map_foreign_arrow(tmp_path / "a", no_check)


def test_blocks_of_a_table_are_its_rows_in_order(monkeypatch):
    monkeypatch.setattr(tables, "ROWS_AT_ONCE", 2)
    table = pa.table({"n": [1, 2, 3, 4, 5]})
    assert [block["n"].to_pylist() for block in in_blocks(table)] == [[1, 2], [3, 4], [5]]
    assert [len(block) for block in in_blocks(table.slice(0, 0))] == [0]
