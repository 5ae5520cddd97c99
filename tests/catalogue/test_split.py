from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from recsys.catalogue.held_out import hash_share
from recsys.catalogue.opinions import DISLIKE, LIKE, OPINIONS_SCHEMA, WITHDRAWAL
from recsys.catalogue.params import SplitParams
from recsys.catalogue.split import (
    CAME_TOO_LATE,
    NEAR_DUPLICATE,
    UNKNOWN_TIME,
    Split,
    split,
)
from recsys.errors import ArtifactMissing, ConfigError

T0 = datetime(2026, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
PARAMS = SplitParams(by="auto", test_share=0.25, near_duplicate_similarity=0.8, min_test_users=1, seed=7)


def day(n):
    return None if n is None else T0 + timedelta(days=n)


def interactions(*rows):
    """Rows of (user, item, day[, weight])."""
    times = pa.array([day(row[2]) for row in rows], TIME)
    columns = [
        [row[0] for row in rows],
        [row[1] for row in rows],
        times,
        times,
        [row[3] if len(row) > 3 else LIKE for row in rows],
    ]
    return pa.table(columns, names=OPINIONS_SCHEMA.names).cast(OPINIONS_SCHEMA)


def versions(*rows):
    """Rows of (item, text, day, deleted)."""
    return pa.table(
        {
            "item_id": [r[0] for r in rows],
            "text": [r[1] for r in rows],
            "text_hash": [f"hash of {r[1]}" for r in rows],
            "updated_at": pa.array([day(r[2]) for r in rows], TIME),
            "deleted": [r[3] for r in rows],
            "part": ["000001-0000000000"] * len(rows),
            "line": pa.array(range(1, len(rows) + 1), pa.int64()),
        }
    )


def catalogue(*items, at=0):
    return versions(*((item, f"a text of {item} alone", at, False) for item in items))


def ids(table, **wanted):
    for column, value in wanted.items():
        found = pc.is_null(table[column]) if value is None else pc.equal(table[column], value)
        table = table.filter(found)
    return sorted(table["item_id"].to_pylist())


LOG = interactions(
    ("u", "a", 1), ("u", "b", 2), ("v", "a", 3), ("v", "b", 4), ("w", "b", 5), ("w", "a", 6),
    ("u", "new", 7), ("stranger", "new", 8),
)  # fmt: skip


def test_time_split_puts_the_last_share_after_the_cut_and_knows_cold_from_warm():
    made = split(LOG, catalogue("a", "b", "new"), PARAMS)
    assert made.summary.by == "time" and made.summary.cut == day(7)
    assert made.train.num_rows == 6 and max(made.train["timestamp"].to_pylist()) < made.summary.cut
    assert ids(made.items, slice="cold") == ["new"] and ids(made.items, slice="warm") == ["a", "b"]


def test_users_without_training_history_are_not_judged():
    made = split(LOG, catalogue("a", "b", "new"), PARAMS)
    assert list(zip(made.test["user"].to_pylist(), made.test["item_id"].to_pylist(), strict=True)) == [
        ("u", "new")
    ]


def test_a_pair_counts_once_at_its_first_time():
    again = pa.concat_tables([LOG, interactions(("u", "a", 7.5))])
    made = split(again, catalogue("a", "b", "new"), PARAMS)
    assert made.train.num_rows + made.test.num_rows + 1 == 8  # + 1: the stranger
    assert ("u", "a") not in zip(made.test["user"].to_pylist(), made.test["item_id"].to_pylist(), strict=True)


def test_order_of_rows_changes_nothing():
    rows = catalogue("a", "b", "new")
    backwards = pa.array(range(LOG.num_rows))[::-1]
    one, other = split(LOG, rows, PARAMS), split(LOG.take(backwards), rows.take(pa.array([2, 0, 1])), PARAMS)
    assert one.train.equals(other.train) and one.test.equals(other.test) and one.items.equals(other.items)


def test_judging_uses_the_newest_text_that_is_not_newer_than_the_cut():
    texts = versions(
        ("a", "first text of a", 0, False), ("a", "second text of a", 5, False), ("a", "third text of a", 9, False),
        ("b", "only text of b", 0, False), ("new", "text of new", 0, False),
    )  # fmt: skip
    made = split(LOG, texts, PARAMS)
    chosen = dict(zip(made.items["item_id"].to_pylist(), made.items["text_hash"].to_pylist(), strict=True))
    assert chosen["a"] == "hash of second text of a"


def test_among_texts_of_one_time_the_later_part_wins_also_behind_the_millionth():
    texts = versions(
        ("a", "first text of a", 0, False), ("a", "second text of a", 0, False),
        ("b", "only text of b", 0, False), ("new", "text of new", 0, False),
    )  # fmt: skip
    parts = pa.array(["999999-ffffffffff", "1000000-0000000000", "000001-0000000000", "000001-0000000000"])
    made = split(LOG, texts.set_column(texts.column_names.index("part"), "part", parts), PARAMS)
    chosen = dict(zip(made.items["item_id"].to_pylist(), made.items["text_hash"].to_pylist(), strict=True))
    assert chosen["a"] == "hash of second text of a"


def test_first_text_counts_as_the_text_at_arrival_where_the_catalogue_is_younger_than_its_ratings():
    texts = versions(
        ("a", "first text of a", 100, False), ("a", "edited text of a", 200, False),
        ("b", "text of b", 100, False), ("new", "text of new", 100, False),
    )  # fmt: skip
    made = split(LOG, texts, PARAMS)
    chosen = dict(zip(made.items["item_id"].to_pylist(), made.items["text_hash"].to_pylist(), strict=True))
    assert chosen == {"a": "hash of first text of a", "b": "hash of text of b", "new": "hash of text of new"}
    assert ids(made.items, left_out=None) == ["a", "b", "new"]


def test_an_item_that_nobody_could_have_interacted_with_is_no_candidate():
    texts = pa.concat_tables([catalogue("a", "b", "new"), catalogue("later", at=30)])
    assert ids(split(LOG, texts, PARAMS).items, left_out=CAME_TOO_LATE) == ["later"]


def test_by_item_hash_an_item_that_came_after_every_interaction_is_no_candidate_either():
    log, texts = many(day=3)
    texts = pa.concat_tables([texts, catalogue("later", at=30), catalogue("unmet", at=2)])
    params = PARAMS.model_copy(update={"by": "item-hash"})
    made = split(log, texts, params)
    assert ids(made.items, left_out=CAME_TOO_LATE) == ["later"]
    assert "unmet" in ids(made.items, slice="cold", left_out=None)
    untimed = pa.concat_tables([log, interactions(("x", "i0", None))])  # that may have been later still
    assert ids(split(untimed, texts, params).items, left_out=CAME_TOO_LATE) == []


def test_an_item_without_interactions_that_people_could_have_had_is_a_candidate():
    made = split(LOG, catalogue("a", "b", "new", "unmet"), PARAMS)
    assert ids(made.items, slice="cold", left_out=None) == ["new", "unmet"]


def test_cold_item_with_nearly_the_text_of_a_warm_item_is_not_judged():
    texts = versions(
        ("a", "one two three four five six seven eight nine ten eleven", 0, False),
        ("b", "something else entirely", 0, False),
        ("new", "One two three four five six seven eight nine ten, eleven!", 0, False),
        ("other", "a text that is like no other text here", 0, False),
    )
    log = pa.concat_tables([LOG, interactions(("v", "other", 8))])
    made = split(log, texts, PARAMS)
    assert ids(made.items, left_out=NEAR_DUPLICATE) == ["new"]
    assert "new" not in made.test["item_id"].to_pylist()
    assert made.summary.left_out == {NEAR_DUPLICATE: 1}


def test_interactions_of_unknown_time_stand_on_neither_side_and_their_item_is_not_cold():
    log = pa.concat_tables([LOG, interactions(("u", "untimed", None), ("v", "a", None))])
    made = split(log, catalogue("a", "b", "new", "untimed"), PARAMS)
    assert ids(made.items, left_out=UNKNOWN_TIME) == ["untimed"]
    assert "untimed" not in made.train["item_id"].to_pylist() + made.test["item_id"].to_pylist()


def test_deleted_items_are_left_out_altogether():
    texts = pa.concat_tables([catalogue("a", "b", "new"), versions(("b", "", 3, True))])
    made = split(LOG, texts, PARAMS)
    assert made.items["item_id"].to_pylist() == ["a", "new"]
    assert "b" not in made.train["item_id"].to_pylist()


def many(n_users=30, n_items=40, day=None):
    rows = [(f"u{u}", f"i{(u * 7 + j * 3) % n_items}", day) for u in range(n_users) for j in range(12)]
    return interactions(*rows), catalogue(*(f"i{i}" for i in range(n_items)))


def test_without_timestamps_items_are_held_out_by_their_hash():
    log, texts = many()
    made = split(log, texts, PARAMS)
    held_out = {f"i{i}" for i in range(40) if hash_share(PARAMS.seed, f"i{i}") < PARAMS.test_share}
    assert made.summary.by == "item-hash" and made.summary.cut is None
    assert held_out and set(ids(made.items, slice="cold")) >= held_out
    assert not held_out & set(made.train["item_id"].to_pylist())


def test_item_hash_also_holds_out_pairs_of_warm_items():
    log, texts = many()
    made = split(log, texts, PARAMS)
    warm = set(ids(made.items, slice="warm"))
    assert warm & set(made.test["item_id"].to_pylist())
    pairs = [
        set(zip(t["user"].to_pylist(), t["item_id"].to_pylist(), strict=True))
        for t in (made.train, made.test)
    ]
    assert not pairs[0] & pairs[1]


def test_an_item_stays_on_its_side_when_others_arrive():
    log, texts = many()
    before = split(log, texts, PARAMS)
    after = split(
        pa.concat_tables([log, interactions(("u1", "i99", None))]),
        pa.concat_tables([texts, catalogue("i99")]),
        PARAMS,
    )
    assert set(ids(before.items, slice="cold")) <= set(ids(after.items, slice="cold"))


def test_too_few_test_users_are_an_error_with_both_figures_and_a_remedy():
    with pytest.raises(ConfigError, match=r"1 test users, fewer than split.min_test_users = 5(.|\n)*remedy"):
        split(LOG, catalogue("a", "b", "new"), PARAMS.model_copy(update={"min_test_users": 5}))


def test_one_moment_for_everything_leaves_nothing_to_learn_from():
    log = interactions(("u", "a", 1), ("v", "b", 1))
    with pytest.raises(ConfigError, match="no interaction lies before the cut"):
        split(log, catalogue("a", "b"), PARAMS)


def test_time_split_without_times_is_refused():
    with pytest.raises(ConfigError, match="no interaction has a timestamp"):
        split(many()[0], many()[1], PARAMS.model_copy(update={"by": "time"}))


def test_split_comes_back_as_saved_with_the_same_bytes_each_time(tmp_path):
    made = split(LOG, catalogue("a", "b", "new"), PARAMS)
    for name in ("one", "two"):
        made.save(tmp_path / name)
    loaded = Split.load(tmp_path / "one")
    assert (
        loaded.summary == made.summary and loaded.train.equals(made.train) and loaded.items.equals(made.items)
    )
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_missing_split_names_the_stage(tmp_path):
    with pytest.raises(ArtifactMissing, match="dvc repro split"):
        Split.load(tmp_path)


def pairs_of(table):
    return sorted(zip(table["user"].to_pylist(), table["item_id"].to_pylist(), strict=True))


def test_a_dislike_is_on_neither_side_and_a_like_that_it_ends_is_not_relevant():
    log = pa.concat_tables(
        [
            LOG,
            interactions(("v", "other", 0.5, DISLIKE), ("v", "new", 8, DISLIKE), ("w", "new", 7.5)),
            interactions(("w", "new", 9, DISLIKE)),
        ]
    )
    made = split(log, catalogue("a", "b", "new", "other"), PARAMS)
    assert pairs_of(made.train) == pairs_of(split(LOG, catalogue("a", "b", "new"), PARAMS).train)
    assert pairs_of(made.test) == [("u", "new")]
    assert ids(made.items, slice="cold") == ["new", "other"]  # nobody likes `other`


def test_training_knows_what_was_liked_at_the_cut_and_not_what_became_of_it():
    after = interactions(("u", "a", 9, DISLIKE))
    before = interactions(("u", "a", 6.5, DISLIKE))
    whenever = interactions(("u", "a", None, WITHDRAWAL))
    made = {
        name: split(pa.concat_tables([LOG, ending]), catalogue("a", "b", "new"), PARAMS)
        for name, ending in (("after", after), ("before", before), ("whenever", whenever))
    }
    assert ("u", "a") in pairs_of(made["after"].train)
    assert ("u", "a") not in pairs_of(made["before"].train)
    assert ("u", "a") not in pairs_of(made["whenever"].train)
    assert all(("u", "a") not in pairs_of(one.test) for one in made.values())


def test_without_times_dislikes_leave_both_sides():
    log, texts = many()
    ended = interactions(*((f"u{u}", f"i{u * 7 % 40}", None, DISLIKE) for u in range(30)))
    made, whole = split(pa.concat_tables([log, ended]), texts, PARAMS), split(log, texts, PARAMS)
    gone = set(pairs_of(ended))
    assert set(pairs_of(made.train)) == set(pairs_of(whole.train)) - gone
    assert set(pairs_of(made.test)) == set(pairs_of(whole.test)) - gone
