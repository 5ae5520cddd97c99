"""Resampled coverage, Gini and worst decile: against the plain functions, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.dataset.histories import PAD
from recsys.evaluation import coverage
from recsys.evaluation.exposure import lists_of, paired_exposure, statistics
from recsys.ranking.intervals import resamples

N_USERS, N_ITEMS, K = 12, 15, 4


def world(seed, n_users=N_USERS, n_items=N_ITEMS):
    """Lists and wants of some users; some lists are short."""
    generator = np.random.default_rng(seed)
    ranked = np.stack([generator.permutation(n_items)[:K] for _ in range(n_users)])
    ranked[0, 2:] = PAD
    wanted = np.full((n_users, 3), PAD)
    for row in range(n_users):
        some = generator.permutation(n_items)[: generator.integers(1, 4)]
        wanted[row, : len(some)] = some
    return ranked, wanted


def plain(ranked, wanted, candidates):
    exposure = coverage.exposure_at_k(ranked, candidates, K)
    item_recall = coverage.item_recall_at_k(ranked, wanted, K)
    return coverage.coverage(exposure), coverage.gini(exposure), coverage.worst_decile(item_recall)


@given(st.integers(0, 10_000))
def test_a_resample_is_what_the_plain_functions_say_of_the_users_it_drew(seed):
    ranked, wanted = world(seed)
    drawn = next(resamples(N_USERS, 3, seed))
    found = statistics(lists_of(ranked, wanted, N_ITEMS, K), drawn)
    for row, counts in enumerate(drawn):
        users = np.repeat(np.arange(N_USERS), counts)
        assert found[row] == pytest.approx(plain(ranked[users], wanted[users], np.arange(N_ITEMS)))


def test_the_difference_is_that_of_the_plain_figures_and_lies_in_its_interval():
    ranked, wanted = world(1, 200)
    other, _ = world(2, 200)
    ours, theirs = (lists_of(lists, wanted, N_ITEMS, K) for lists in (ranked, other))
    found = paired_exposure(ours, theirs, 300, 5)
    expected = np.subtract(
        plain(ranked, wanted, np.arange(N_ITEMS)), plain(other, wanted, np.arange(N_ITEMS))
    )
    assert [one.mean for one in found.values()] == pytest.approx(expected)
    assert all(one.low <= one.mean <= one.high for one in found.values())
    assert found == paired_exposure(ours, theirs, 300, 5)


def test_the_same_lists_differ_by_nothing_and_the_sign_turns_with_the_order():
    ranked, wanted = world(3)
    narrow = np.tile(np.arange(K), (N_USERS, 1))
    same = paired_exposure(*[lists_of(ranked, wanted, N_ITEMS, K)] * 2, 100, 0)
    assert {(one.low, one.mean, one.high) for one in same.values()} == {(0.0, 0.0, 0.0)}
    spread_out = lists_of(ranked, wanted, N_ITEMS, K)
    all_alike = lists_of(narrow, wanted, N_ITEMS, K)
    forth, back = (
        paired_exposure(spread_out, all_alike, 100, 0),
        paired_exposure(all_alike, spread_out, 100, 0),
    )
    assert forth["coverage"].low > 0 > forth["gini"].high  # everybody sees the same four items
    assert back["coverage"].mean == pytest.approx(-forth["coverage"].mean)
    assert back["coverage"].low == pytest.approx(-forth["coverage"].high)


def test_two_users_by_hand():
    ranked, wanted = np.array([[0, 1], [0, 2]]), np.array([[1, PAD], [3, 0]])
    (found,) = statistics(lists_of(ranked, wanted, 5, 2), np.ones((1, 2), np.int64))
    # shown 2, 1, 1, 0, 0 times; wanted 0, 1, 3, found 1 of 1, 1 of 1, 0 of 1
    assert found[0] == pytest.approx(3 / 5)
    assert found[1] == pytest.approx((0 * 1 + 2 * 1 + 4 * 2) / (5 * 4))
    assert found[2] == 0.0
    (first_alone,) = statistics(lists_of(ranked, wanted, 5, 2), np.array([[2, 0]]))
    assert first_alone == pytest.approx([2 / 5, (2 * 2 + 4 * 2) / (5 * 4), 1.0])
