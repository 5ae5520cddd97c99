"""Rows that are read from a file: the same bytes as mapped ones, without mapping the file."""

from pathlib import Path

import numpy as np
import pytest

from recsys.profiles.items import Latest
from recsys.retrieval.row_file import RowFile
from recsys.retrieval.segments import IndexedSegment, SegmentSearcher
from tests.retrieval.test_segments import all_live, on_disk
from tests.unit_rows import unit_rows


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "vectors.npy", unit_rows(np.random.default_rng(0), 3000, 16))
    return tmp_path / "vectors.npy"


def test_rows_are_those_of_the_array(file: Path) -> None:
    rows = np.array([2999, 0, 17, 17])
    assert np.array_equal(RowFile(file).read(rows), np.load(file)[rows])
    assert RowFile(file).read(np.empty(0, np.int64)).shape == (0, 16)


@pytest.mark.parametrize("row", [-1, 3000])
def test_a_row_outside_is_refused(file: Path, row: int) -> None:
    with pytest.raises(IndexError, match=f"rows {row} to {row} of 3000"):
        RowFile(file).read(np.array([row]))


def test_a_file_that_is_cut_short_while_open_is_refused(file: Path) -> None:
    opened = RowFile(file)
    with file.open("r+b") as writable:
        writable.truncate(1000)
    with pytest.raises(OSError, match="cut short"):
        opened.read(np.array([2999]))


def test_a_file_of_other_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", np.ones((3, 4)))
    with pytest.raises(ValueError, match="holds float64, not float32"):
        RowFile(tmp_path / "vectors.npy")


def test_a_removed_file_is_still_read(file: Path) -> None:
    opened, vectors = RowFile(file), np.load(file)
    file.unlink()
    assert np.array_equal(opened.read(np.array([5])), vectors[[5]])


def test_lists_and_scores_are_the_same_with_and_without_it(file: Path, tmp_path: Path) -> None:
    vectors = np.load(file, mmap_mode="r")
    index, latest = on_disk(tmp_path, np.asarray(vectors)), all_live(3000)
    queries = unit_rows(np.random.default_rng(1), 20, 16)
    mapped = SegmentSearcher([IndexedSegment(vectors, index)], latest)
    read = SegmentSearcher([IndexedSegment(vectors, index, file)], latest)
    for share in (1, 0.6, 0.4, 0.01):
        allowed = np.random.default_rng(2).random(3000) < share
        one, other = (searcher.search(queries, 15, allowed_I=allowed) for searcher in (mapped, read))
        assert np.array_equal(one.rows_QK, other.rows_QK)
        assert np.array_equal(one.scores_QK, other.scores_QK)
    assert np.array_equal(read.vectors_of(np.array([7, 1])), vectors[[7, 1]])


def test_the_searcher_may_go_and_come_again(file: Path) -> None:
    """Each holds one descriptor, which goes with it."""
    vectors = np.load(file, mmap_mode="r")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        latest: Latest = all_live(3000)
        SegmentSearcher([IndexedSegment(vectors, None, file)], latest).vectors_of(np.array([1]))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
