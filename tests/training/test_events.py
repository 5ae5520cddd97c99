"""Purchases and values of the training side: by name, before the cut, of known pairs alone."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from recsys.catalogue.schemas import IMPRESSIONS_SCHEMA, INTERACTIONS_SCHEMA
from recsys.training.events import events_of
from tests.dataset.make import interactions_of

NAMES = ["user", "item_id", "event", "value", "timestamp"]
KNOWN = interactions_of(np.array([[1, 1, 0], [0, 1, 1]]))


NOTHING_SHOWN = IMPRESSIONS_SCHEMA.empty_table()


def rows(*found):
    columns = zip(*((*one, None)[:5] if len(one) == 4 else one for one in found), strict=True)
    schema = pa.schema([INTERACTIONS_SCHEMA.field(name) for name in NAMES])
    return pa.table([list(one) for one in columns], schema=schema)


def at(day):
    return datetime(2026, 1, day, tzinfo=UTC)


def test_purchases_are_events_of_that_name_in_any_case_of_known_pairs():
    table = rows(
        ("u0", "i0", "Purchase", None), ("u0", "i1", "view", None), ("u0", "i2", "purchase", None),
        ("u1", "i1", "buy", None), ("u9", "i1", "buy", None),
    )  # fmt: skip
    found = events_of(table, NOTHING_SHOWN, KNOWN, None, ("purchase", "BUY"))
    assert found.purchases_UI.toarray().tolist() == [[1, 0, 0], [0, 1, 0]] and found.values_UI is None


def test_the_last_value_of_a_pair_counts_and_zero_is_one():
    table = rows(("u0", "i0", "rating", 2.0), ("u0", "i0", "rating", 5.0), ("u1", "i2", "rating", 0.0))
    found = events_of(table, NOTHING_SHOWN, KNOWN, None, ("purchase",))
    assert found.purchases_UI is None and found.values_UI.nnz == 2
    assert found.values_UI.toarray()[0, 0] == 5


def test_what_came_after_the_cut_is_not_read_and_what_has_no_time_is():
    table = rows(
        ("u0", "i0", "purchase", None, at(1)), ("u0", "i1", "purchase", None, at(3)),
        ("u1", "i1", "purchase", None, None),
    )  # fmt: skip
    found = events_of(table, NOTHING_SHOWN, KNOWN, at(3), ("purchase",))
    assert found.purchases_UI.toarray().tolist() == [[1, 0, 0], [0, 1, 0]]


def test_without_purchases_and_values_there_are_no_events():
    assert events_of(rows(("u0", "i0", "view", None)), NOTHING_SHOWN, KNOWN, None, ("purchase",)) is None
    assert events_of(rows(("u0", "i0", "view", None)).slice(1), NOTHING_SHOWN, KNOWN, None, ()) is None


def test_what_was_shown_before_the_cut_to_known_users_is_kept_once():
    schema = pa.schema([IMPRESSIONS_SCHEMA.field(name) for name in ("user", "item_id", "timestamp")])
    shown = pa.table(
        [["u0", "u0", "u1", "u9", "u1"], ["i2", "i2", "i0", "i0", "i2"], [at(1), at(2), None, at(1), at(9)]],
        schema=schema,
    )
    viewed = rows(("u0", "i0", "view", None))
    found = events_of(viewed, shown, KNOWN, at(5), ())
    assert found.shown_UI.toarray().tolist() == [[0, 0, 1], [0, 0, 0]] and found.purchases_UI is None
    assert events_of(viewed, shown, KNOWN, None, ()) is None  # nobody knows which belong to the test side
