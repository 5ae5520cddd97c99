import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.dataset.histories import PAD
from recsys.retrieval.exact import best_of, top_k

ITEMS = np.array([[1, 0], [0, 1], [-1, 0], [1, 0]], np.float32)


def test_best_items_come_first_and_ties_go_to_the_smaller_row():
    found = top_k(np.array([[2.0, 1.0]], np.float32), ITEMS, 3)
    np.testing.assert_array_equal(found.rows_UK, [[0, 3, 1]])
    np.testing.assert_allclose(found.scores_UK, [[2, 2, 1]])


def test_excluded_items_do_not_appear_and_short_lists_are_padded():
    queries = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    found = top_k(queries, ITEMS, 4, exclude=np.array([[0, 2], [1, PAD]]))
    np.testing.assert_array_equal(found.rows_UK, [[3, 1, PAD, PAD], [0, 2, 3, PAD]])
    assert np.isneginf(found.scores_UK[0, 2:]).all()


def test_lists_keep_their_length_where_there_are_fewer_items():
    assert top_k(np.ones((1, 2), np.float32), ITEMS, 6).rows_UK.tolist() == [[0, 1, 3, 2, PAD, PAD]]
    assert top_k(np.ones((1, 2), np.float32), ITEMS[:0], 2).rows_UK.tolist() == [[PAD, PAD]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(1, 14))
def test_order_is_that_of_a_plain_sort(scores, k):
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    found = best_of(np.array([scores], np.float64), k).rows_UK[0]
    assert found[found != PAD].tolist() == expected
    assert len(found) == k


def test_many_queries_are_searched_in_blocks_without_a_difference(monkeypatch):
    generator = np.random.default_rng(0)
    queries, items = generator.normal(size=(50, 4)), generator.normal(size=(30, 4))
    whole = top_k(queries.astype(np.float32), items.astype(np.float32), 5)
    monkeypatch.setattr("recsys.retrieval.exact.BLOCK_SCORES", 90)
    pieces = top_k(queries.astype(np.float32), items.astype(np.float32), 5)
    np.testing.assert_array_equal(whole.rows_UK, pieces.rows_UK)


def test_wrong_width_length_and_nan_are_refused():
    with pytest.raises(ValueError, match="queries have 3 dimensions, items 2"):
        top_k(np.ones((1, 3), np.float32), ITEMS, 1)
    with pytest.raises(ValueError, match="at least 1"):
        top_k(np.ones((1, 2), np.float32), ITEMS, 0)
    with pytest.raises(ValueError, match="NaN"):
        best_of(np.array([[np.nan]]), 1)
