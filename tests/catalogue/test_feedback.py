from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.feedback import meaning_of, weighed
from recsys.catalogue.opinions import OPINIONS_SCHEMA, liked, opinions
from recsys.catalogue.params import FeedbackParams
from recsys.catalogue.schemas import INTERACTIONS_SCHEMA

PARAMS = FeedbackParams(
    negative_events=("dislike", "thumbs_down", "return"),
    withdrawing_events=("unlike",),
    min_value=0.0,
    min_values={"rating": 3.0, "price": None},
)


def log(*rows, part=1):
    """Rows of (user, item, event, value, day), by line."""
    made = [
        {
            "user": user,
            "item_id": item,
            "event": event,
            "value": value,
            "timestamp": None if day is None else datetime(2026, 1, day, tzinfo=UTC),
            "part": f"{part:06d}-0000000000",
            "line": line,
        }
        for line, (user, item, event, value, day) in enumerate(rows, 1)
    ]
    return pa.Table.from_pylist(made, schema=INTERACTIONS_SCHEMA)


def test_people_are_told_what_events_count_as():
    events = [("purchase", 2.0), ("Retoure", 1.0), ("purchase", -1.0), ("return", None), ("unlike", None)]
    made = log(*(("u", "i", event, value, 1) for event, value in (*events, ("purchase", 3.0), (None, None))))
    assert meaning_of([made[:2], made[2:], made[:0]], PARAMS) == (
        "likes: purchase (2), retoure (1), no event (1); dislikes: purchase (1), return (1); withdrawals: unlike (1)"
    )
    many = log(*(("u", "i", f"event{n}", None, 1) for n in range(12)))
    assert meaning_of([many], PARAMS).endswith("event9 (1) and 2 others")


def pairs(table):
    return sorted(zip(table["user"].to_pylist(), table["item_id"].to_pylist(), strict=True))


def stands(*rows):
    """Whether user u likes item i after these (event, day), each on the next line."""
    made = log(*(("u", "i", event, None, day) for event, day in rows))
    return pairs(liked(opinions(weighed(made, PARAMS)))) == [("u", "i")]


@pytest.mark.parametrize(
    ("event", "value", "weight"),
    [
        ("view", None, 1), ("purchase", 9.5, 1), ("rating", 3.0, 1), ("rating", 2.9, -1), ("rating", None, 1),
        ("thumbs", -1.0, -1), ("thumbs", 1.0, 1), ("view", 0.0, 1), ("view", -0.1, -1), ("price", -7.0, 1),
        ("dislike", None, -1), ("dislike", 5.0, -1), ("Thumbs-Down", None, -1), ("thumbsDown", None, -1),
        ("RETURN", 1.0, -1), ("unlike", None, 0), ("unlike", -1.0, 0), ("returned-visit", None, 1), (None, None, 1),
    ],
)  # fmt: skip
def test_an_event_and_its_value_say_whether_it_is_a_like(event, value, weight):
    assert weighed(log(("u", "i", event, value, 1)), PARAMS)["weight"].to_pylist() == [weight]


def test_a_threshold_of_null_reads_no_value():
    blind = PARAMS.model_copy(update={"min_value": None})
    assert weighed(log(("u", "i", "thumbs", -1.0, 1)), blind)["weight"].to_pylist() == [1]


def test_an_event_has_a_name_and_one_meaning():
    with pytest.raises(ValueError, match="negative_events"):
        FeedbackParams(**PARAMS.model_dump() | {"negative_events": ("dislike", "--")})
    with pytest.raises(ValueError, match="'un-like' is in both negative_events and withdrawing_events"):
        FeedbackParams(**PARAMS.model_dump() | {"negative_events": ("dislike", "un-like")})


@pytest.mark.parametrize(
    ("rows", "liked_in_the_end"),
    [
        ([("like", 1)], True),
        ([("like", 1), ("dislike", 2)], False),
        ([("dislike", 2), ("like", 1)], False),  # time decides, not the order of lines
        ([("like", 1), ("dislike", 2), ("like", 3)], True),
        ([("like", 1), ("unlike", 2)], False),
        ([("unlike", 1), ("like", 2)], True),
        ([("like", 1), ("dislike", 1)], False),  # at one time the later line
        ([("dislike", 1), ("like", 1)], True),
        ([("like", None), ("dislike", None)], False),
        ([("dislike", None), ("like", None)], True),
        ([("dislike", None), ("like", 9)], False),  # an unknown time counts as last
        ([("like", None), ("dislike", 9)], True),
    ],
)
def test_the_latest_interaction_of_a_pair_decides(rows, liked_in_the_end):
    assert stands(*rows) == liked_in_the_end


def test_of_two_parts_at_one_time_the_later_part_decides_also_behind_the_millionth():
    early = weighed(log(("u", "i", "dislike", None, 1), part=999_999), PARAMS)
    late = log(("u", "i", "like", None, 1), part=1_000_000)
    together = weighed(pa.concat_tables([late, log(("u", "i", "dislike", None, 1), part=999_999)]), PARAMS)
    assert pairs(liked(opinions(together))) == [("u", "i")]
    assert not liked(opinions(early)).num_rows


def test_a_pair_has_the_first_time_that_is_known_and_others_are_left_alone():
    found = opinions(
        weighed(
            log(("u", "i", "view", None, 5), ("u", "i", "view", None, None), ("u", "i", "buy", None, 3),
                ("u", "j", "dislike", None, 1), ("v", "i", "dislike", None, 1)),
            PARAMS,
        )
    )  # fmt: skip
    assert pairs(found) == [("u", "i"), ("u", "j"), ("v", "i")]
    likes = liked(found)
    assert pairs(likes) == [("u", "i")] and likes["timestamp"].to_pylist() == [
        datetime(2026, 1, 3, tzinfo=UTC)
    ]


def test_nothing_has_no_opinions():
    assert opinions(weighed(INTERACTIONS_SCHEMA.empty_table(), PARAMS)).num_rows == 0


ROWS = st.lists(
    st.tuples(
        st.sampled_from("uv"),
        st.sampled_from("ij"),
        st.sampled_from(["view", "dislike", "unlike", "rating"]),
        st.none() | st.sampled_from([-1.0, 2.0, 5.0]),
        st.none() | st.integers(1, 5),
    ),
    max_size=24,
)


def by_hand(table):
    """The rule, row by row: pair -> weight of its latest interaction."""
    rows = sorted(
        weighed(table, PARAMS).to_pylist(), key=lambda row: (row["latest"] is None, row["latest"] or 0)
    )  # sorted() keeps the order of arrival
    return {(row["user"], row["item_id"]): row["weight"] for row in rows}


@given(ROWS)
def test_each_pair_has_the_weight_that_the_rule_gives_by_hand(rows):
    table = log(*rows)
    found = opinions(weighed(table, PARAMS)).to_pylist()
    assert {(row["user"], row["item_id"]): row["weight"] for row in found} == by_hand(table)
    assert len(found) == len(by_hand(table))


@given(ROWS, st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(rows, seed):
    table = log(*rows)
    shuffled = table.take(pa.array(np.random.default_rng(seed).permutation(len(rows))))
    assert opinions(weighed(shuffled, PARAMS)).equals(opinions(weighed(table, PARAMS)))


@given(ROWS, ROWS, ROWS)
def test_opinions_of_parts_sum_up_to_those_of_the_whole(first, second, third):
    tables = [log(*rows, part=number) for number, rows in enumerate((first, second, third), 1)]
    whole = opinions(weighed(pa.concat_tables(tables), PARAMS))
    by_part = pa.concat_tables([opinions(weighed(table, PARAMS)) for table in tables])
    summed = opinions(by_part)
    columns = ["user", "item_id", "timestamp", "latest", "weight"]
    order = [("user", "ascending"), ("item_id", "ascending")]
    assert summed.select(columns).sort_by(order).equals(whole.select(columns).sort_by(order))


@pytest.mark.parametrize(
    ("first", "of_b"),
    [(3, ["x", "z"]), (3 - 2**62, ["z", "x"])],
    ids=["packed into one number", "too far apart"],
)
def test_opinions_are_in_order_of_user_time_and_arrival(first, of_b):
    stamps = pa.array([5, None, 5, first, None, 2], pa.timestamp("us", tz="UTC"))
    weights = pa.array([1, 1, -1, 1, 0, 1], pa.float32())
    columns = [pa.array(list("baabab")), pa.array(list("xyxzyx")), stamps, stamps, weights]
    events = pa.table(columns, schema=OPINIONS_SCHEMA)
    found = opinions(events)
    assert found["user"].to_pylist() == ["a", "a", "b", "b"]
    assert found["item_id"].to_pylist() == ["x", "y", *of_b]
    assert found["weight"].to_pylist() == [-1, 0, 1, 1]
    unknown = opinions(events.set_column(2, OPINIONS_SCHEMA.field("timestamp"), pa.nulls(6, stamps.type)))
    assert unknown["item_id"].to_pylist() == ["y", "x", "x", "z"]
