"""What the aliases of now say about the ledger: every way in which a move can be cut short, without a server."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.evaluation.provenance import TrainedOn
from recsys.registry.changes import DONE, INTERRUPTED, PLANNED, Cause, Entry, Move, settle
from recsys.registry.mlflow import RegisteredVersion


def entry(n, previous, version, state=DONE, how="gated", alias="champion"):
    return Entry(
        n, datetime(2026, 1, 1, tzinfo=UTC), alias, previous, version, None, how, "me", "", state, f"r{n}"
    )


def wanted(version, how="gated"):
    encoder = RegisteredVersion("m", version, "run", "h", TrainedOn())
    return Move("champion", encoder, Cause(how, "me", ""))


def test_a_ledger_that_agrees_with_the_aliases_needs_nothing():
    assert settle([entry(1, None, "1"), entry(2, "1", "2")], {"champion": "2"}, None) == ({}, {})
    assert settle([], {}, None) == ({}, {})


def test_an_alias_moved_or_taken_away_by_other_means_is_noticed():
    assert settle([entry(1, None, "1")], {"champion": "3"}, None) == ({}, {"champion": ("1", "3")})
    assert settle([entry(1, None, "1")], {}, None) == ({}, {"champion": ("1", None)})
    assert settle([], {"challenger": "5"}, None) == ({}, {"challenger": (None, "5")})


@pytest.mark.parametrize(
    ("now", "state", "by_hand"),
    [("2", DONE, {}), ("7", INTERRUPTED, {"champion": ("1", "7")})],
)
def test_a_move_that_was_cut_short_is_decided_by_where_the_alias_stands(now, state, by_hand):
    found = [entry(1, None, "1"), entry(2, "1", "2", PLANNED)]
    assert settle(found, {"champion": now}, None) == ({"r2": state}, by_hand)


def test_the_same_move_wanted_again_is_taken_up_and_another_one_is_not():
    found = [entry(1, None, "1"), entry(2, "1", "2", PLANNED)]
    assert settle(found, {"champion": "1"}, wanted("2")) == ({}, {})
    assert settle(found, {"champion": "1"}, None) == ({}, {})  # it may be under way just now
    assert settle(found, {"champion": "1"}, wanted("3")) == ({"r2": INTERRUPTED}, {})
    assert settle(found, {"champion": "1"}, wanted("2", "forced")) == ({"r2": INTERRUPTED}, {})
    assert settle(found, {"champion": "2"}, wanted("2")) == ({"r2": DONE}, {})


def test_aliases_do_not_disturb_each_other():
    found = [entry(1, None, "1"), entry(2, None, "2", alias="challenger")]
    assert settle(found, {"champion": "1", "challenger": "3"}, None) == ({}, {"challenger": ("2", "3")})


@given(
    st.lists(st.tuples(st.sampled_from("1234"), st.sampled_from([DONE, PLANNED, INTERRUPTED])), max_size=6),
    st.sampled_from(["1", "2", "3", "4", None]),
)
def test_once_settled_and_written_down_nothing_more_is_to_do(moves, now):
    found = [entry(n, None, version, state) for n, (version, state) in enumerate(moves, 1)]
    current = {"champion": now} if now else {}
    states, by_hand = settle(found, current, None)
    found = [replace(one, state=states.get(one.run_id, one.state)) for one in found]
    found += [entry(99, *change, how="by hand") for change in by_hand.values()]
    assert settle(found, current, None) == ({}, {})
