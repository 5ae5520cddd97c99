import hashlib
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.catalogue.feedback import weighed
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.schemas import INTERACTIONS_SCHEMA
from recsys.errors import ArtifactMissing
from recsys.profiles import users
from recsys.profiles.users import (
    Histories,
    Ridge,
    gram_of,
    history_key,
    joined,
    load_histories,
    read_history,
    sums_of,
    write_histories,
)
from recsys.profiles.users_summary import UsersSummary


def unit_rows(n, dim, seed):
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


FEEDBACK = FeedbackParams(
    negative_events=("dislike",), withdrawing_events=("unlike",), min_value=0.0, min_values={}
)


def interactions(rows, part="000001-0000000000"):
    """Rows of (user, item, day[, event])."""
    made = [
        {
            "user": row[0],
            "item_id": row[1],
            "event": row[3] if len(row) > 3 else "click",
            "timestamp": None if row[2] is None else datetime(2026, 1, row[2], tzinfo=UTC),
            "part": part,
            "line": line,
        }
        for line, row in enumerate(rows, 1)
    ]
    return pa.Table.from_pylist(made, schema=INTERACTIONS_SCHEMA)


def write(rows, target, part="000001-0000000000"):
    write_histories(interactions(rows, part), FEEDBACK, target)


def test_weights_match_a_ridge_counted_by_hand():
    # gram = diag(1, 3), λ = 1: (gram + I)^-1 = diag(1/2, 1/4)
    ridge = Ridge(np.diag([1.0, 3.0]), 1.0)
    np.testing.assert_allclose(ridge.weights(np.array([[1.0, 1.0], [4.0, 0.0]])), [[0.5, 0.25], [2.0, 0.0]])


def test_weights_solve_the_regression_of_a_users_clicks_on_all_items():
    x_ID = unit_rows(40, 6, seed=1).astype(np.float64)
    clicked_I = np.zeros(40)
    clicked_I[[3, 7, 21]] = 1
    expected_D = np.linalg.solve(x_ID.T @ x_ID + 2.0 * np.eye(6), x_ID.T @ clicked_I)
    got_UD = Ridge(gram_of(x_ID), 2.0).weights(x_ID[[3, 7, 21]].sum(axis=0, keepdims=True))
    np.testing.assert_allclose(got_UD[0], expected_D, rtol=2e-3)
    assert got_UD.dtype == np.float32


def test_a_user_without_items_has_a_zero_profile():
    assert not Ridge(np.eye(3), 1.0).weights(np.zeros((1, 3))).any()


def test_sums_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"b must be \[U, 3\], got \[1, 4\]"):
        Ridge(np.eye(3), 1.0).weights(np.zeros((1, 4)))


def test_gram_matches_the_plain_product():
    x_ID = unit_rows(9000, 16, seed=2)  # more than two chunks
    np.testing.assert_allclose(gram_of(x_ID), x_ID.T.astype(np.float64) @ x_ID, atol=5e-3)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_gram_is_the_same_bytes_in_any_order_and_in_any_pieces(seed):
    x_ID = unit_rows(5000, 8, seed=3)
    shuffled = x_ID[np.random.default_rng(seed).permutation(5000)]
    cut = seed % 4999 + 1
    whole = gram_of(x_ID)
    assert gram_of(shuffled).tobytes() == whole.tobytes()
    assert (gram_of(shuffled[:cut]) + gram_of(shuffled[cut:])).tobytes() == whole.tobytes()


def test_gram_of_nothing_is_zero():
    assert not gram_of(np.zeros((0, 4), np.float32)).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.5])
def test_gram_refuses_a_row_that_is_no_unit_vector_and_names_it(value):
    x_ID = unit_rows(4100, 4, seed=4)
    x_ID[4098, 2] = value
    with pytest.raises(ValueError, match="row 4098"):
        gram_of(x_ID)


def test_history_keeps_a_pair_once_with_its_first_time(tmp_path):
    target = tmp_path / "h.parquet"
    write([("u", "b", 9), ("u", "a", 3), ("u", "b", 2), ("t", "c", None)], target)
    histories = load_histories([target])
    assert histories.users == ["t", "u"]
    assert histories.items_of("u") == ("b", "a")
    assert histories.items_of("t") == ("c",)


def test_histories_of_several_parts_are_joined_oldest_first_and_distinct(tmp_path):
    write([("u", "a", 5), ("u", "b", 6)], tmp_path / "1")
    write([("u", "c", 4), ("u", "a", 1), ("v", "a", 7)], tmp_path / "2")
    histories = load_histories([tmp_path / "1", tmp_path / "2"])
    assert histories.items_of("u") == ("a", "c", "b")
    assert histories.items_of("v") == ("a",)
    assert histories.pairs.num_rows == 4


def test_unknown_times_come_last_in_order_of_arrival(tmp_path):
    write([("u", "x", None), ("u", "y", 8)], tmp_path / "1")
    write([("u", "z", None)], tmp_path / "2")
    assert load_histories([tmp_path / "1", tmp_path / "2"]).items_of("u") == ("y", "x", "z")


def test_a_dislike_in_a_later_file_ends_the_like_of_an_earlier_one_and_only_time_decides_which_is_later(
    tmp_path,
):
    likes = [("u", "a", 5), ("u", "b", 20), ("u", "b", 6), ("v", "a", 5), ("v", "b", 5)]
    write(likes, tmp_path / "1")
    write(
        [("u", "a", 9, "dislike"), ("u", "b", 10, "dislike"), ("v", "a", 6, "unlike")],
        tmp_path / "2",
        "000002-b",
    )
    for files in ("12", "21"):
        histories = load_histories([tmp_path / name for name in files])
        assert histories.items_of("u") == ("b",) and histories.disliked_by("u") == ("a",)
        assert histories.items_of("v") == ("b",) and histories.disliked_by("v") == ()


def test_a_user_who_dislikes_everything_has_no_history(tmp_path):
    write([("hater", "a", 1, "dislike"), ("u", "a", 1)], tmp_path / "1")
    histories = load_histories([tmp_path / "1"])
    assert histories.users == ["u"]
    assert histories.items_of("hater") == () and histories.disliked_by("hater") == ("a",)


def test_a_file_from_before_there_was_feedback_holds_likes(tmp_path):
    old = interactions([("u", "b", 9), ("u", "a", None)]).select(["user", "item_id", "timestamp"])
    pq.write_table(old, tmp_path / "1")
    write([("u", "b", 10, "dislike")], tmp_path / "2", "000002-b")
    histories = load_histories([tmp_path / "1", tmp_path / "2"])
    assert histories.items_of("u") == ("a",) and histories.disliked_by("u") == ("b",)


def test_one_user_is_read_from_the_row_groups_that_may_hold_them(tmp_path, monkeypatch):
    monkeypatch.setattr(users, "GROUP_ROWS", 3)
    rows = [(f"u{n % 5}", f"i{n}", 1 + n, "dislike" if n == 7 else "click") for n in range(20)]
    write(rows, tmp_path / "1")
    pq.write_table(interactions([("u3", "b", 9)]).select(["user", "item_id", "timestamp"]), tmp_path / "old")
    files, asked = [tmp_path / "1", tmp_path / "old"], []
    everybody, read = load_histories(files), pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, names: asked.append(len(groups)) or read(self, groups, names),
    )
    for user in ("u0", "u1", "u2", "u3", "u4", "nobody", "z"):
        alone = joined(read_history(file, user) for file in files)
        assert alone.opinions_of(user).equals(everybody.opinions_of(user))
    assert len(everybody.opinions_of("u3")) == 5 and pq.read_metadata(files[0]).num_row_groups == 7
    assert max(asked) == 2 and asked[-2:] == [0, 0]


def test_a_history_is_named_by_what_counts_as_a_like():
    other = FEEDBACK.model_copy(update={"min_value": 3.0})
    assert history_key("a" * 64, FEEDBACK) == history_key("a" * 64, FEEDBACK.model_copy())
    assert history_key("a" * 64, FEEDBACK) != history_key("a" * 64, other)


def test_unknown_user_has_no_items_and_no_files_have_no_users():
    assert load_histories([]).items_of("nobody") == ()
    assert load_histories([]).users == []


def test_the_same_interactions_in_another_order_of_lines_differ_only_where_time_does_not_decide(tmp_path):
    rows = [("u", "a", 3), ("v", "b", 1), ("u", "c", 2)]
    for name, order in (("1", rows), ("2", rows[::-1])):
        write(order, tmp_path / name)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in "12"}
    assert len(digests) == 1


@given(
    st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.none() | st.integers(1, 28)),
        max_size=30,
    )
)
def test_every_pair_is_there_exactly_once(rows):
    histories = Histories(weighed(interactions(rows), FEEDBACK))
    found = [(user, item) for user in histories.users for item in histories.items_of(user)]
    assert sorted(found) == sorted({(user, item) for user, item, _ in rows})


def test_sums_leave_out_items_without_a_profile():
    x_ID = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    sums = sums_of([("a", "gone", "b"), ()], {"a": 0, "b": 1}, x_ID)
    np.testing.assert_array_equal(sums, [[1.0, 1.0], [0.0, 0.0]])


def test_summary_comes_back_as_saved_and_its_absence_names_the_stage(tmp_path):
    summary = UsersSummary(10.0, 2, 3, 4, "e", "g")
    summary.save(tmp_path / "users.json")
    assert UsersSummary.load(tmp_path / "users.json") == summary
    with pytest.raises(ArtifactMissing, match="dvc repro users"):
        UsersSummary.load(tmp_path / "missing.json")
