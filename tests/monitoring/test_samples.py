"""Samples of interactions: users are drawn, and what holds of all interactions is summed."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from recsys.monitoring.samples import USER_ROWS, interaction_counts, sample_users

START = datetime(2026, 11, 1, tzinfo=UTC)


def interactions(*rows):
    """user, item, event, value, seconds after the start or None."""
    columns = list(zip(*rows, strict=True))
    times = [None if seconds is None else START + timedelta(seconds=seconds) for seconds in columns[4]]
    return pa.table(
        {
            "user": list(columns[0]),
            "item_id": list(columns[1]),
            "event": list(columns[2]),
            "value": pa.array(columns[3], pa.float64()),
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
        }
    )


def test_a_user_is_one_row_whose_order_says_nothing():
    rows = interactions(
        ("ann", "a", "view", 1.0, 0), ("bob", "b", "like", None, 5), ("ann", "c", "like", 3.0, 9)
    )
    found = sample_users(rows, "000001", 10, frozenset({"c"})).to_pylist()
    ann = next(row for row in found if len(row["event"]) == 2)
    assert sorted(zip(*ann.values(), strict=True)) == [("like", 3.0, 1.0), ("view", 1.0, 0.0)]
    assert {"event": ["like"], "value": [None], "is_new": [0.0]} in found and len(found) == 2
    assert sample_users(rows, "000001", 10, frozenset({"c"})).to_pylist() == found


def test_users_are_drawn_and_the_interactions_of_one_are_bounded():
    many = [("one", f"i{n}", "view", 1.0, n) for n in range(3 * USER_ROWS)]
    rows = interactions(*many, *((f"u{n}", "i1", "like", 2.0, n) for n in range(50)))
    sizes = [len(row["event"]) for row in sample_users(rows, "000001", 51, frozenset()).to_pylist()]
    assert sorted(sizes) == [1] * 50 + [USER_ROWS]
    assert len(sample_users(rows, "000001", 20, frozenset())) == 20
    assert len(sample_users(rows.slice(0, 0), "000001", 20, frozenset())) == 0


def test_counts_by_hand():
    rows = interactions(
        ("ann", "a", "view", None, 0),
        ("bob", "a", "view", None, 1),
        ("ann", "a", "like", None, 3),
        ("ann", "b", "view", None, 10),
        ("bob", "c", "view", None, None),
    )
    found = interaction_counts(rows)
    assert (found["rows"], found["users"], found["repeats"], found["gaps"]) == (5, 2, 1, 2)
    assert found["log2_gaps"] == pytest.approx(np.log2(4) + np.log2(8))
    assert found["days"] == pytest.approx(60 / 86_400)  # a minute at least
    assert interaction_counts(rows.slice(4))["days"] == interaction_counts(rows.slice(0, 0))["days"] == 0
