import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.dataset.histories import PAD
from recsys.evaluation.coverage import coverage, exposure_at_k, gini, item_recall_at_k, worst_decile

RANKED = np.array([[7, 3], [7, 5], [7, PAD]])
CANDIDATES = np.array([3, 5, 7, 9])


def test_exposure_counts_each_candidate_in_the_first_k_places():
    np.testing.assert_array_equal(exposure_at_k(RANKED, CANDIDATES, 1), [0, 0, 3, 0])
    np.testing.assert_array_equal(exposure_at_k(RANKED, CANDIDATES, 2), [1, 1, 3, 0])


def test_coverage_is_the_share_that_somebody_sees():
    assert coverage(np.array([1, 1, 3, 0])) == 0.75


def test_gini_matches_values_counted_by_hand():
    assert gini(np.array([2, 2, 2])) == 0.0
    assert gini(np.array([0, 0, 0, 8])) == 0.75  # one of n takes all: (n - 1) / n
    assert gini(np.array([3, 1])) == pytest.approx(0.25)  # (-1 * 1 + 1 * 3) / (2 * 4)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any))
def test_gini_does_not_depend_on_order_and_lies_below_one(exposure):
    assert 0 <= gini(np.array(exposure)) < 1
    assert gini(np.array(exposure[::-1])) == pytest.approx(gini(np.array(exposure)))


def test_nothing_shown_has_no_gini_and_no_candidates_have_no_coverage():
    assert np.isnan(gini(np.zeros(4, int)))
    assert np.isnan(coverage(np.zeros(0, int)))


def test_a_listed_item_that_is_no_candidate_is_refused():
    with pytest.raises(ValueError, match="item row 8"):
        exposure_at_k(np.array([[8]]), CANDIDATES, 1)


def test_item_recall_is_a_mean_over_the_users_of_an_item():
    relevant = np.array([[7, 3], [7, 9], [9, PAD]])  # 3: wanted once, got; 7: twice, got; 9: twice, never got
    np.testing.assert_allclose(item_recall_at_k(RANKED, relevant, 2), [1.0, 1.0, 0.0])
    np.testing.assert_allclose(item_recall_at_k(RANKED, relevant, 1), [0.0, 1.0, 0.0])


def test_worst_decile_is_the_mean_of_the_lowest_tenth_and_of_one_item_at_least():
    assert worst_decile(np.array([0.9, 0.1, 0.5])) == pytest.approx(0.1)
    assert worst_decile(np.arange(20) / 20) == pytest.approx((0 + 1 / 20) / 2)
    assert np.isnan(worst_decile(np.array([])))
