import hashlib
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.feedback import weighed
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.schemas import INTERACTIONS_SCHEMA
from recsys.profiles import history_files
from recsys.profiles.histories import Histories, joined
from recsys.profiles.history_files import history_key, load_histories, read_history, write_histories

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


def test_places_of_names_are_what_a_user_likes_and_dislikes(tmp_path):
    rows = [("u", "b", 9), ("u", "a", 3), ("u", "c", 4, "dislike"), ("u", "d", 5, "unlike"), ("t", "c", 1)]
    write(rows, tmp_path / "1")
    write([("u", "e", 2), ("v", "c", 2, "dislike")], tmp_path / "2")
    histories = load_histories([tmp_path / "1", tmp_path / "2"])
    for user in ("t", "u", "v", "nobody"):
        likes, dislikes = (
            histories.names.take(pa.array(one)).to_pylist() for one in histories.places_of(user)
        )
        assert tuple(likes) == histories.items_of(user) and tuple(dislikes) == histories.disliked_by(user)
    assert [len(one) for one in histories.places_of("u")] == [3, 1]
    assert [len(one) for one in load_histories([]).places_of("u")] == [0, 0]


def test_what_is_read_for_each_list_is_no_copy_of_the_opinions(tmp_path):
    write([("u", "a", 3), ("u", "b", 9), ("v", "a", 4)], tmp_path / "1")
    histories = load_histories([tmp_path / "1"])
    histories.places_of("u")
    table = vars(histories)["_opinions"]
    items, weights = table["item_id"].chunk(0).indices, table["weight"].chunk(0)
    for array, column in ((vars(histories)["_place_O"], items), (vars(histories)["_weight_O"], weights)):
        assert array.ctypes.data == column.buffers()[1].address + column.offset * array.itemsize


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
    monkeypatch.setattr(history_files, "GROUP_ROWS", 3)
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
