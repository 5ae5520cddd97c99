"""Likes by item are brought up to date from the histories that changed, and equal those from nothing."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.profiles import like_counts
from recsys.profiles.histories import HISTORY_SCHEMA
from recsys.profiles.histories_by_user import IN_MEMORY, HistoriesByUser
from recsys.profiles.like_counts import LikeCounts, count_likes
from recsys.storage.atomic import write_parquet

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ONE_FILE = st.lists(
    st.tuples(
        st.sampled_from("abcde"), st.sampled_from("xyz"), st.integers(0, 3), st.sampled_from([1.0, 0.0, -1.0])
    ),
    max_size=8,
    unique_by=lambda row: row[:2],
)


def write(folder, number, rows):
    """A history file of one part: user, item, day, weight."""
    ordered = sorted(rows, key=lambda row: (row[0], row[2]))
    columns = list(zip(*ordered, strict=True)) or [(), (), (), ()]
    times = [T0 + timedelta(days=day) for day in columns[2]]
    path = folder / f"{number:06d}-part-{'0' * 16}.parquet"
    write_parquet(path, pa.table([columns[0], columns[1], times, times, columns[3]], schema=HISTORY_SCHEMA))
    return path


def counts(found):
    return dict(zip(*found.table.to_pydict().values(), strict=True)), found.n_users, found.n_pairs


@settings(max_examples=40, deadline=None)
@given(st.lists(ONE_FILE, min_size=1, max_size=4), st.integers(0, 3))
def test_counts_brought_up_to_date_equal_those_from_nothing(tmp_path_factory, files, n_before):
    folder = tmp_path_factory.mktemp("histories")
    paths = [write(folder, number, rows) for number, rows in enumerate(files)]
    before = count_likes(None, paths[:n_before], IN_MEMORY)
    found = count_likes(before, paths, IN_MEMORY)
    assert found.table.equals(count_likes(None, paths, IN_MEMORY).table)
    latest = {}
    for rows in files:
        for user, item, day, weight in sorted(rows, key=lambda row: row[2]):
            if day >= latest.get((user, item), (-1, 0))[0]:
                latest[user, item] = day, weight
    likes = [pair for pair, (_, weight) in latest.items() if weight > 0]
    expected = {
        item: sum(liked == item for _, liked in likes) for item in sorted({item for _, item in likes})
    }
    assert counts(found) == (expected, len({user for user, _ in likes}), len(likes))


def test_only_histories_of_users_in_new_files_are_read_again(tmp_path, monkeypatch):
    old = [write(tmp_path, 0, [("a", "x", 0, 1.0), *((f"u{n}", "x", 0, 1.0) for n in range(50))])]
    before = count_likes(None, old, IN_MEMORY)
    asked = []
    read = HistoriesByUser.of
    monkeypatch.setattr(
        HistoriesByUser, "of", lambda self, files, users: asked.append(users) or read(self, files, users)
    )
    monkeypatch.setattr(like_counts, "load_histories", lambda *_: pytest.fail("all histories are read"))
    assert count_likes(before, old, IN_MEMORY) is before and not asked
    new = write(tmp_path, 1, [("a", "x", 1, -1.0), ("b", "y", 1, 1.0)])
    found = count_likes(before, [*old, new], IN_MEMORY)
    assert [users.to_pylist() for users in asked] == [["a", "b"], ["a", "b"]]
    assert counts(found) == ({"x": 50, "y": 1}, 51, 51)


def test_a_file_that_went_is_counted_from_nothing(tmp_path):
    paths = [write(tmp_path, number, [("a", item, 0, 1.0)]) for number, item in enumerate("xyz")]
    before = count_likes(None, paths, IN_MEMORY)
    assert counts(count_likes(before, paths[1:], IN_MEMORY)) == ({"y": 1, "z": 1}, 1, 2)


def test_what_was_kept_is_read_back_unless_it_is_damaged(tmp_path):
    kept, path = tmp_path / "counts.state", write(tmp_path, 0, [("a", "x", 0, 1.0), ("b", "x", 0, 1.0)])
    found = count_likes(None, [path], IN_MEMORY)
    found.save(kept)
    again = LikeCounts.load(kept)
    assert again is not None and counts(again) == counts(found) and again.files == (path.name,)
    kept.write_bytes(kept.read_bytes()[:-5] + b"other")
    assert LikeCounts.load(kept) is None
    assert LikeCounts.load(tmp_path / "none") is None
