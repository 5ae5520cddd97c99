from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from recsys.dataset.interactions import make_interactions
from tests.dataset.make import interactions_of

MATRIX_UI = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]])


def column(*values):
    return pa.chunked_array([pa.array(values, pa.string())])


def test_a_pair_counts_once_at_its_first_known_time_and_unknown_ids_are_left_out():
    users, items = column("v", "u", "v", "u", "v", "x"), column("a", "b", "a", "b", "b", "a")
    found = make_interactions(
        users, items, ("u", "v"), ("a", "b"), np.array([5.0, np.nan, 3.0, 7, np.nan, 1])
    )
    np.testing.assert_array_equal(found.matrix_UI.toarray(), [[0, 1], [1, 1]])
    np.testing.assert_array_equal(found.times_P, [7, 3, np.nan])
    np.testing.assert_array_equal(found.first_times(), [3, 7])


def test_the_order_of_the_table_changes_nothing():
    rows = [("u", "b", 4.0), ("u", "a", 2.0), ("v", "b", 1.0), ("u", "b", 3.0)]
    made = [
        make_interactions(column(*users), column(*items), ("u", "v"), ("a", "b"), np.array(times))
        for users, items, times in (zip(*some, strict=True) for some in (rows, rows[::-1]))
    ]
    np.testing.assert_array_equal(made[0].matrix_UI.indices, made[1].matrix_UI.indices)
    np.testing.assert_array_equal(made[0].times_P, made[1].times_P)


def test_an_item_is_new_at_its_first_interaction_that_is_left():
    timed = replace(interactions_of(MATRIX_UI), times_P=np.array([5.0, 1, 3, np.nan]))
    np.testing.assert_array_equal(timed.first_times(), [3, np.nan, 1])
    np.testing.assert_array_equal(timed.without(np.array([2])).first_times(), [3, np.nan, np.nan])
    np.testing.assert_array_equal(timed.only_pairs(timed.times_P != 3).first_times(), [5, np.nan, 1])
    assert interactions_of(MATRIX_UI).first_times() is None


def test_the_pairs_of_some_items_stay_in_the_same_shape():
    whole = interactions_of(MATRIX_UI)
    found = whole.only_items(np.array([True, False, True]))
    np.testing.assert_array_equal(found.matrix_UI.toarray(), [[1, 0, 1], [0, 0, 0], [1, 0, 0]])
    found.matrix_UI.data[:] = 9
    assert whole.matrix_UI.toarray()[0, 0] == 1  # a matrix of its own


def test_counts_are_of_distinct_pairs():
    found = interactions_of(MATRIX_UI)
    assert found.n_users_I.tolist() == [2, 1, 1] and found.n_items_U.tolist() == [2, 0, 2]
    assert found.without(np.array([0])).warm.tolist() == [1, 2]


@pytest.mark.parametrize(("n", "expected"), [(1, [0]), (2, [0, 1]), (9, [0, 1, 2])])
def test_the_items_with_most_users_are_the_smaller_rows_among_equals(n, expected):
    assert interactions_of(MATRIX_UI).most_used(n).tolist() == expected
