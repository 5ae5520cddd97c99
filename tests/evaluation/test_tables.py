import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys.errors import UnreadableFile
from recsys.evaluation.tables import read_ids, read_table


def test_ids_become_text_whatever_they_were_written_as(tmp_path):
    pq.write_table(pa.table({"item_id": [7, 10], "title": ["a", "b"]}), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text('item_id,title\n007,"two\nlines"\n10,b\n')
    (tmp_path / "a.jsonl").write_text('{"item_id": 7, "title": "a"}\n{"item_id": 10, "title": "b"}\n')
    assert read_table(tmp_path / "a.parquet", ("item_id",))["item_id"].to_pylist() == ["7", "10"]
    assert read_table(tmp_path / "a.jsonl", ("item_id",))["item_id"].to_pylist() == ["7", "10"]
    found = read_table(tmp_path / "a.csv", ("item_id",))  # csv has text alone: leading zeros stay
    assert found.to_pylist() == [{"item_id": "007", "title": "two\nlines"}, {"item_id": "10", "title": "b"}]


def test_cold_lists_may_be_tables_or_lines_and_count_each_id_once(tmp_path):
    (tmp_path / "cold.txt").write_text("b\n\na\nb\n")
    (tmp_path / "cold.csv").write_text("item_id\nb\na\nb\n")
    assert read_ids(tmp_path / "cold.txt") == read_ids(tmp_path / "cold.csv") == ["b", "a"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("items.xlsx", b"x", "endings"),
        ("items.csv", b"title\nx\n", "no column 'item_id', it has title"),
        ("items.csv", b"item_id,title\na,x\n,y\n", "row 2: item_id is empty"),
        ("items.jsonl", b'{"item_id": 1.5}\n', "holds double, not ids"),
        ("items.jsonl", b'{"item_id": \n', "cannot be read"),
        ("items.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_their_fault(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=f"{name}(.|\n)*{words}(.|\n)*remedy"):
        read_table(tmp_path / name, ("item_id",))


def test_an_empty_cold_list_is_refused(tmp_path):
    (tmp_path / "cold.txt").write_text("\n")
    with pytest.raises(UnreadableFile, match="lists no item"):
        read_ids(tmp_path / "cold.txt")
