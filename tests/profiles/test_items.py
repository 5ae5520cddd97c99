from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.errors import ArtifactMissing
from recsys.profiles import items, segment_draft
from recsys.profiles.items import (
    hash_array,
    latest,
    list_segments,
    load_profiles,
    segment_is_whole,
    segment_of,
)
from recsys.profiles.segment_draft import SegmentDraft
from tests.profiles.segments import write_segment

KEY = "0" * 16


def rows(part, *found):
    """Rows (item, day or None, deleted) of a part; live ones must come first."""
    return pa.Table.from_pylist(
        [
            {
                "item_id": item,
                "text_hash": "0" * 64,
                "updated_at": None if day is None else datetime(2026, 1, day, tzinfo=UTC),
                "deleted": deleted,
                "tags": ["x"],
                "part": part,
                "line": number + 1,
            }
            for number, (item, day, deleted) in enumerate(found)
        ],
        items.SCHEMA,
    )


def unit(n, start=0):
    """Unit vectors of dimension 4, each with its own angle."""
    angles = np.arange(start, start + n) / 100
    return np.stack([np.cos(angles), np.sin(angles), 0 * angles, 0 * angles], axis=1).astype(np.float32)


def write(folder, part, *found, start=0):
    n_live = sum(not deleted for _, _, deleted in found)
    return write_segment(folder, f"{part}-{KEY}", rows(part, *found), unit(n_live, start))


def test_a_segment_reads_back_what_was_written(tmp_path):
    segment = write(tmp_path, "000001-a", ("a", 1, False), ("b", 1, False), ("c", 1, True))
    assert list_segments(tmp_path) == (segment,)
    assert segment.parts == ("000001-a",) and segment.name == f"000001-a-{KEY}"
    assert segment.rows() == rows("000001-a", ("a", 1, False), ("b", 1, False), ("c", 1, True))
    np.testing.assert_array_equal(segment.vectors(), unit(2))
    assert isinstance(segment.vectors(), np.memmap)


def test_the_same_content_gives_the_same_bytes(tmp_path):
    one, two = (write(tmp_path / name, "000001-a", ("a", 1, False)) for name in "xy")
    assert one.rows_path.read_bytes() == two.rows_path.read_bytes()
    assert one.vectors_path.read_bytes() == two.vectors_path.read_bytes()


def test_a_segment_of_deletes_alone_has_no_vectors_but_a_width(tmp_path):
    segment = write(tmp_path, "000001-a", ("a", 1, True))
    assert segment.vectors().shape == (0, 4)
    assert load_profiles([segment]).ids == ()


def test_the_newest_row_wins_then_the_later_part_then_the_later_line(tmp_path):
    write(tmp_path, "000001-a", ("a", 5, False), ("b", 1, False), ("c", 1, False), ("c", 1, False))
    write(tmp_path, "000002-a", ("a", 4, False), ("b", 1, False), start=10)
    found = latest(list_segments(tmp_path))
    where = dict(zip(found.item_ids, zip(found.segment_of_item, found.row_of_item, strict=True), strict=True))
    assert where == {"a": (0, 0), "c": (0, 3), "b": (1, 1)}


def test_a_row_without_a_time_is_the_oldest(tmp_path):
    write(tmp_path, "000001-a", ("a", 1, False))
    write(tmp_path, "000002-a", ("a", None, False))
    assert latest(list_segments(tmp_path)).segment_of_item.tolist() == [0]


def test_a_delete_removes_and_a_later_row_brings_back(tmp_path):
    write(tmp_path, "000001-a", ("a", 1, False), ("b", 1, False))
    write(tmp_path, "000002-a", ("a", 2, True), ("b", 2, True))
    assert list(latest(list_segments(tmp_path)).item_ids) == []
    write(tmp_path, "000003-a", ("b", 3, False))
    assert list(latest(list_segments(tmp_path)).item_ids) == ["b"]


def test_parts_are_ordered_by_their_number_also_behind_the_millionth(tmp_path):
    write(tmp_path, "1000000-a", ("a", 1, False), start=50)
    write(tmp_path, "999999-f", ("a", 1, False))
    assert [segment.parts[0] for segment in list_segments(tmp_path)] == ["999999-f", "1000000-a"]
    np.testing.assert_array_equal(load_profiles(list_segments(tmp_path)).vectors, unit(1, 50))


row_lists = st.lists(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(1, 3), st.booleans()), max_size=6), max_size=4
)


@settings(max_examples=40)
@given(row_lists)
def test_latest_agrees_with_a_plain_walk_through_all_rows(tmp_path_factory, parts):
    folder = tmp_path_factory.mktemp("segments")
    newest = {}
    for number, found in enumerate(parts):
        found = sorted(found, key=lambda row: row[2])
        write(folder, f"{number:06d}-a", *found, start=10 * number)
        for row, (item, day, deleted) in enumerate(found):
            if item not in newest or day >= newest[item][0]:
                newest[item] = (day, deleted, number, row)
    wanted = {
        item: unit(row + 1, 10 * number)[row] for item, (_, gone, number, row) in newest.items() if not gone
    }
    profiles = load_profiles(list_segments(folder))
    assert set(profiles.ids) == set(wanted) and len(profiles.ids) == len(wanted)
    for item, vector in zip(profiles.ids, profiles.vectors, strict=True):
        np.testing.assert_array_equal(vector, wanted[item])


def test_nothing_at_all_is_no_profiles(tmp_path):
    assert list_segments(tmp_path) == ()
    assert load_profiles([]).ids == ()
    with pytest.raises(ArtifactMissing, match=r"profiles@champion"):
        list_segments(tmp_path / "champion")


def test_vectors_without_rows_are_no_segment(tmp_path):
    segment = write(tmp_path, "000001-a", ("a", 1, False))
    segment.rows_path.unlink()
    assert list_segments(tmp_path) == ()


def test_a_torn_segment_is_not_whole(tmp_path):
    segment = write(tmp_path, "000001-a", ("a", 1, False), ("b", 1, True))
    assert segment_is_whole(segment, 2, 4)
    assert not segment_is_whole(segment, 3, 4) and not segment_is_whole(segment, 2, 8)
    assert not segment_is_whole(segment_of(tmp_path, f"000002-a-{KEY}"), 2, 4)
    for path in (segment.vectors_path, segment.rows_path):
        content = path.read_bytes()
        path.write_bytes(content[:-4])
        assert not segment_is_whole(segment, 2, 4)
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("found", "vectors", "message"),
    [
        ([("a", 1, True), ("b", 1, False)], unit(1), "live rows must come before deletes"),
        ([("a", 1, False)], unit(2), "needs 1 vectors, got 2"),
        (
            [("a", 1, False), ("b", 1, False)],
            unit(2) * np.array([[1], [2]], np.float32),
            "vector of b has not length 1",
        ),
        ([("a", 1, False)], np.full((1, 4), np.nan, np.float32), "vector of a has not length 1"),
    ],
)
def test_rows_and_vectors_that_do_not_fit_are_refused(tmp_path, found, vectors, message):
    with pytest.raises(ValueError, match=message):
        write_segment(tmp_path, f"000001-a-{KEY}", rows("000001-a", *found), vectors)
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_form_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a segment is called"):
        segment_of(tmp_path, "000001-a")


def test_vectors_of_two_encoders_are_not_mixed(tmp_path):
    write(tmp_path, "000001-a", ("a", 1, False))
    write_segment(
        tmp_path, f"000002-a-{KEY}", rows("000002-a", ("b", 1, False)), np.eye(1, 8, dtype=np.float32)
    )
    with pytest.raises(ValueError, match="different dimensions"):
        load_profiles(list_segments(tmp_path))


def test_a_draft_that_is_filled_in_any_order_has_the_bytes_of_one_that_is_written_at_once(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(segment_draft, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(segment_draft, "MAPPED_BYTES", 40)  # pages are given back now and then
    found, vectors = rows("000001-a", *((one, 1, False) for one in "abcdef")), unit(6)
    vectors[[2, 4, 5]] = vectors[[1, 0, 0]]
    whole = write_segment(tmp_path / "whole", f"000001-a-{KEY}", found, vectors)
    draft = SegmentDraft(segment_of(tmp_path / "drafted", whole.name), 6, 4)
    draft.write(np.array([3, 1]), vectors[[3, 1]])
    draft.write(slice(0, 1), vectors[:1])
    draft.copy(np.array([2, 4, 5]), np.array([1, 0, 0]))
    drafted = draft.finish(found)
    assert drafted.vectors_path.read_bytes() == whole.vectors_path.read_bytes()
    assert drafted.rows_path.read_bytes() == whole.rows_path.read_bytes()
    np.save(tmp_path / "saved.npy", vectors)
    assert whole.vectors_path.read_bytes() == (tmp_path / "saved.npy").read_bytes()
    assert len(list((tmp_path / "drafted").iterdir())) == 2


def test_a_discarded_draft_leaves_nothing(tmp_path):
    SegmentDraft(segment_of(tmp_path, f"000001-a-{KEY}"), 3, 4).discard()
    assert not list(tmp_path.iterdir())


def test_a_column_of_hashes_is_read_in_place():
    digests = [f"{number:064x}" for number in range(5)]
    column = pa.chunked_array([digests[:2], digests[2:], pa.array([], pa.string())])
    assert hash_array(column.slice(1, 3)).tolist() == [one.encode() for one in digests[1:4]]
    assert len(hash_array(pa.chunked_array([], pa.string()))) == 0
