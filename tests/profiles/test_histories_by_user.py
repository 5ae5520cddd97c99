"""Histories of some users are those that they have among all, whether or not there are copies."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.profiles.histories import HISTORY_SCHEMA
from recsys.profiles.histories_by_user import IN_MEMORY, HistoriesByUser
from recsys.profiles.history_files import history_users, load_histories
from recsys.storage.atomic import write_parquet

T0 = datetime(2026, 1, 1, tzinfo=UTC)
USERS = "abcdef"
ONE_FILE = st.lists(
    st.tuples(
        st.sampled_from(USERS), st.sampled_from("xyz"), st.integers(0, 3), st.sampled_from([1.0, 0.0, -1.0])
    ),
    max_size=8,
    unique_by=lambda row: row[:2],
)


def written(folder, name, rows, *, by_user=True):
    """A history file: user, item, day, weight; by user as stages write it, or not."""
    columns = list(zip(*(sorted(rows, key=lambda row: (row[0], row[2])) if by_user else rows), strict=True))
    users, items, days, weights = columns or [(), (), (), ()]
    times = [T0 + timedelta(days=day) for day in days]
    path = folder / f"{name}.parquet"
    write_parquet(path, pa.table([users, items, times, times, weights], schema=HISTORY_SCHEMA))
    return path


@settings(max_examples=40, deadline=None)
@given(st.lists(ONE_FILE, max_size=3), st.sets(st.sampled_from([*USERS, "nobody"])), st.booleans())
def test_histories_of_some_users_are_those_among_all(tmp_path_factory, files, wanted, by_user):
    folder = tmp_path_factory.mktemp("histories")
    paths = [written(folder, str(number), rows, by_user=by_user) for number, rows in enumerate(files)]
    everybody = load_histories(paths)
    for reader in (IN_MEMORY, HistoriesByUser(folder / "copies"), HistoriesByUser(folder / "copies")):
        some = reader.of(paths, pa.array(sorted(wanted), pa.string()))
        for user in USERS:
            expected = everybody.opinions_of(user if user in wanted else "nobody")
            assert some.opinions_of(user).drop_columns("user").equals(expected.drop_columns("user"))


@pytest.mark.parametrize(
    ("first", "n", "expected"),
    [("c", 3, "cea"), ("d", 9, "eabc"), ("", 2, "ab"), ("z", 1, "a"), ("b", 0, "")],
)
def test_users_follow_each_other_in_the_alphabet_and_after_the_last_comes_the_first(
    tmp_path, first, n, expected
):
    rows = {"1": "ace", "2": "cb", "3": ""}
    paths = [written(tmp_path, name, [(user, "x", 0, 1.0) for user in users]) for name, users in rows.items()]
    assert "".join(IN_MEMORY.next_users(paths, first, n).to_pylist()) == expected
    assert history_users(paths).to_pylist() == ["a", "b", "c", "e"]


def test_a_copy_is_made_once_and_goes_with_its_file(tmp_path):
    paths = [written(tmp_path, name, [("a", name, 0, 1.0)]) for name in ("1", "2")]
    reader, users = HistoriesByUser(tmp_path / "copies"), pa.array(["a"])
    reader.of(paths, users)
    copies = {copy.name: copy.stat().st_mtime_ns for copy in (tmp_path / "copies").iterdir()}
    assert reader.of(paths, users).items_of("a") == ("1", "2")
    assert copies == {copy.name: copy.stat().st_mtime_ns for copy in (tmp_path / "copies").iterdir()}
    (tmp_path / "copies/1.parquet.arrow").write_bytes(b"cut off")
    assert reader.of(paths, users).items_of("a") == ("1", "2")
    reader.keep_only(["2.parquet"])
    assert [copy.name for copy in (tmp_path / "copies").iterdir()] == ["2.parquet.arrow"]
