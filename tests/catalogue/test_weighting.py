"""How strong a like is, and what that counts."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.catalogue.feedback import hint, learn_scales, weighed
from recsys.catalogue.opinions import WITHDRAWAL, opinions, weights_of
from recsys.catalogue.weighting import EVENTS, MOST_VALUES, N_LIKES, YES_OR_NO, Scale, Weighting
from recsys.dataset.interactions import make_interactions, with_opinions
from tests.catalogue.test_feedback import PARAMS, log

STARS = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], [6, 11, 27, 34, 22])


def test_a_like_is_as_strong_as_twice_the_share_of_likes_below_it():
    scale = Scale.of(STARS)
    assert scale.values == (1, 2, 3, 4, 5)
    assert scale.strengths == pytest.approx((0.06, 0.23, 0.61, 1.22, 1.78))
    assert scale.strength(STARS).mean() == pytest.approx(1)
    assert scale.strength(np.array([3.5, -9.0, 1e9])).tolist() == pytest.approx([0.915, 0.06, 1.78])


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=300))
def test_strengths_rise_with_the_value_and_stay_between_nothing_and_two(values):
    scale = Scale.of(np.array(values))
    if scale is None:
        assert len(set(values)) == 1
        return
    strengths = scale.strength(np.sort(values))
    assert (np.diff(strengths) >= 0).all() and strengths[0] > 0 and strengths[-1] < 2
    assert strengths[0] < strengths[-1] and len(scale.values) <= MOST_VALUES


def test_a_scale_of_many_values_is_short_and_hardly_differs():
    values = np.random.default_rng(0).lognormal(3, 2, 20_000)
    scale, exact = Scale.of(values), np.argsort(np.argsort(values)) / 10_000
    assert len(scale.values) <= MOST_VALUES
    assert np.abs(scale.strength(values) - exact).max() < 2 / (MOST_VALUES - 1)


def test_values_are_read_among_those_of_their_own_event_and_equal_ones_say_nothing():
    rows = [("u", f"i{n}", "rating", float(n), 1) for n in range(3, 7)]
    rows += [("u", f"j{n}", "Watch-Time", 1000.0 * n, 1) for n in range(1, 4)]
    rows += [("u", f"k{n}", "purchase", 1.0, 1) for n in range(3)] + [("u", "l", "click", None, 1)]
    table = log(*rows)
    scales = learn_scales(table, PARAMS)
    assert set(scales) == {"rating", "watchtime"}
    weights = weighed(table, PARAMS, scales)["weight"].to_pylist()
    assert weights == pytest.approx([0.25, 0.75, 1.25, 1.75, 1 / 3, 1, 5 / 3, 1, 1, 1, 1])


def test_dislikes_and_withdrawals_have_no_strength_and_teach_no_scale():
    table = log(
        ("u", "a", "rating", 1.0, 1), ("u", "b", "rating", 3.0, 1), ("u", "c", "rating", 5.0, 1),
        ("u", "d", "dislike", 9.0, 1), ("u", "e", "unlike", 9.0, 1),
    )  # fmt: skip
    scales = learn_scales(table, PARAMS)
    assert set(scales) == {"rating"} and scales["rating"].values == (3, 5)
    assert weighed(table, PARAMS, scales)["weight"].to_pylist() == [-1, 0.5, 1.5, -1, 0]


@pytest.mark.parametrize(
    "values", [[4.0] * 5, [None] * 5, [float("nan")] * 5, [float("inf"), 4.0, None, 4.0, 4.0]]
)
def test_a_log_without_different_values_is_weighed_as_yes_or_no(values):
    table = log(*(("u", f"i{n}", "rating", value, 1) for n, value in enumerate(values)))
    scales = learn_scales(table, PARAMS)
    assert scales == {}
    assert weighed(table, PARAMS, scales).equals(weighed(table, PARAMS))


def test_under_yes_or_no_a_like_weighs_one_and_a_dislike_nothing():
    strengths = np.array([0.1, 1.9, -1.0, 0.0])
    assert YES_OR_NO.weights(strengths, np.array([9, 1, 1, 1]), np.array([100.0, 0, 0, 0])).tolist() == [
        1,
        1,
        0,
        0,
    ]
    assert YES_OR_NO.is_yes_or_no and not Weighting(value=0.1).is_yes_or_no


def test_each_part_of_a_weighting_by_hand():
    strengths = np.array([0.5, 1.5, -1.0, 0.0])
    assert Weighting(value=0.4, dislike=0.25).weights(strengths).tolist() == pytest.approx(
        [0.8, 1.2, -0.25, 0]
    )
    repeated = Weighting(repeats=1.0).weights(np.ones(4), np.array([1, 2, 3, 50]))
    assert repeated.tolist() == pytest.approx([1, 1.5, 1.75, 2])
    aged = Weighting(dislike=1.0, half_life_days=30).weights(
        np.array([1, 1, -1]), None, np.array([0, 30, 60])
    )
    assert aged.tolist() == pytest.approx([1, 0.5, -0.25])


def test_repeated_likes_are_counted_whatever_parts_they_came_in():
    first = log(("u", "a", "click", None, 1), ("u", "a", "click", None, 2), ("u", "b", "click", None, 1))
    second = log(
        ("u", "a", "click", None, 3), ("u", "b", "dislike", None, 2), ("v", "a", "click", None, 1), part=2
    )
    at_once = opinions(weighed(pa.concat_tables([first, second]), PARAMS, further=[N_LIKES]))
    by_part = [opinions(weighed(one, PARAMS, further=[N_LIKES])) for one in (first, second)]
    assert opinions(pa.concat_tables(by_part)).equals(at_once)
    found = {(row["user"], row["item_id"]): row["n_likes"] for row in at_once.to_pylist()}
    assert found == {("u", "a"): 3, ("u", "b"): 1, ("v", "a"): 1}


def test_age_counts_from_the_users_latest_opinion_and_unknown_times_count_as_latest():
    found = opinions(
        weighed(
            log(("u", "a", "click", None, 1), ("u", "b", "click", None, 11), ("u", "c", "click", None, None)),
            PARAMS,
        )
    )
    weights = dict(
        zip(found["item_id"].to_pylist(), weights_of(found, Weighting(half_life_days=10)), strict=True)
    )
    assert weights == pytest.approx({"a": 0.5, "b": 1, "c": 1})
    untimed = found.set_column(3, "latest", pa.nulls(3, found.schema.field("latest").type))
    assert weights_of(untimed, Weighting(half_life_days=10)).tolist() == [1, 1, 1]


def test_age_does_not_count_from_what_was_taken_back_neither_in_lists_nor_in_training():
    rows = log(("u", "a", "click", None, 1), ("u", "b", "click", None, 11), ("u", "c", "unlike", None, 21))
    found, weighting = opinions(weighed(rows, PARAMS)), Weighting(half_life_days=10)
    assert weights_of(found, weighting).tolist() == pytest.approx([0.5, 1, 0])
    likes = make_interactions(["u", "u"], ["a", "b"], ("u",), ("a", "b"))
    trained = with_opinions(likes, found.filter(pc.not_equal(found["weight"], WITHDRAWAL)))
    assert trained.signals(weighting).toarray().tolist() == [pytest.approx([0.5, 1])]


def test_a_retraction_before_its_event_does_not_take_it_back():
    rows = log(("u", "a", "unlike", None, 1), ("u", "a", "rating", 5.0, 2), ("u", "b", "rating", 4.0, 2))
    scales = learn_scales(rows, PARAMS)
    found = opinions(weighed(rows, PARAMS, scales))
    assert dict(zip(found["item_id"].to_pylist(), found["weight"].to_pylist(), strict=True)) == {
        "a": 1.5,
        "b": 0.5,
    }
    assert found["timestamp"][0].as_py() == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "meant"),
    [("dislkie", "dislike"), ("Thumbs-Dwn", "thumbs_down"), ("purchse", "purchase"), ("zzz", None)],
)
def test_an_unknown_event_is_said_to_count_as_a_like_with_the_name_it_may_be_a_slip_of(event, meant):
    found = hint(event, PARAMS, ("click", "purchase"))
    assert found.startswith(f"event {event!r} is not known, so it counts as a like: ")
    assert f"did you mean {meant}?" in found if meant else "did you mean" not in found
    assert found.endswith("known are purchase, click, price, rating, unlike, return, thumbs_down, dislike")


@pytest.mark.parametrize("event", ["dislike", "Thumbs Down", "UNLIKE", "rating", "click"])
def test_a_known_event_has_no_hint(event):
    assert hint(event, PARAMS, ("click", "purchase")) is None


EVENT_WEIGHTS = Weighting(events={"view": 0.3, "purchase": 2.0})


def test_of_the_events_of_a_pair_the_weightiest_counts_and_others_weigh_one():
    table = log(
        ("u", "a", "view", None, 1), ("u", "a", "Purchase", None, 2), ("u", "a", "view", None, 3),
        ("u", "b", "view", None, 1), ("u", "c", "share", None, 1), ("u", "d", "view", None, 1),
        ("u", "d", "share", None, 2), ("u", "e", "dislike", None, 1), ("u", "f", "view", None, 1),
        ("u", "f", "dislike", None, 2),
    )  # fmt: skip
    found = opinions(weighed(table, PARAMS, further=EVENT_WEIGHTS.columns))
    assert dict(zip(found["item_id"].to_pylist(), found[EVENTS].to_pylist(), strict=True)) == {
        "a": "purchase view", "b": "view", "c": "share", "d": "share view", "e": None, "f": "view",
    }  # fmt: skip
    weights = dict(zip(found["item_id"].to_pylist(), weights_of(found, EVENT_WEIGHTS), strict=True))
    assert weights == pytest.approx({"a": 2.0, "b": 0.3, "c": 1.0, "d": 1.0, "e": 0.0, "f": 0.0})
    assert YES_OR_NO.columns == () and EVENTS not in opinions(weighed(table, PARAMS)).column_names


@given(
    st.lists(
        st.tuples(
            st.sampled_from("uv"), st.sampled_from("ab"),
            st.sampled_from(["view", "purchase", "share", "dislike", "unlike", None]), st.integers(1, 7),
        ),
        max_size=30,
    ),
    st.integers(0, 30),
)  # fmt: skip
def test_events_of_parts_combine_to_those_of_all(rows, cut):
    table = log(*((user, item, event, None, day) for user, item, event, day in rows))
    whole = weighed(table, PARAMS, further=(EVENTS, N_LIKES))
    parts = [opinions(whole.slice(0, cut)), opinions(whole.slice(cut))]
    assert opinions(pa.concat_tables(parts)).equals(opinions(whole))


def test_interactions_weigh_events_as_one_users_opinions_do():
    table = log(
        ("u", "a", "view", None, 1), ("u", "b", "purchase", None, 2), ("v", "a", "share", None, 1),
        ("v", "b", "view", None, 1), ("v", "b", "purchase", None, 4),
    )  # fmt: skip
    found = opinions(weighed(table, PARAMS, further=[EVENTS]))
    plain = make_interactions(found["user"], found["item_id"], ("u", "v"), ("a", "b"))
    signals = with_opinions(plain, found).signals(EVENT_WEIGHTS).toarray()
    assert signals.tolist() == [[pytest.approx(0.3), 2.0], [1.0, 2.0]]
    for row, user in enumerate("uv"):
        own = found.filter(pc.equal(found["user"], user))
        assert weights_of(own, EVENT_WEIGHTS).tolist() == pytest.approx(signals[row].tolist())


def test_a_weighting_without_events_is_written_as_before_and_one_with_them_is_read_again():
    plain = Weighting(value=0.3)
    assert "events" not in plain.model_dump() and "events" not in plain.model_dump_json()
    assert Weighting.model_validate_json(EVENT_WEIGHTS.model_dump_json()) == EVENT_WEIGHTS
    assert not EVENT_WEIGHTS.is_yes_or_no and EVENT_WEIGHTS.name == "events purchase 2 view 0.3"
    for bad in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="weight of an event"):
            Weighting(events={"view": bad})
