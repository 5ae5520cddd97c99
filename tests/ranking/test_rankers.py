import numpy as np
import pytest

from recsys.ranking import RANKERS
from recsys.ranking.dot import PAD, rank_by_dot

ITEMS = np.array([[1, 0], [0, 1], [2, 0], [1, 0]], np.float32)


def test_dot_orders_by_inner_product_with_the_smaller_row_first_among_equals():
    rows, scores = rank_by_dot(np.array([[1.0, 0.5]], np.float32), np.array([[3, 1, 0, PAD, 2]]), ITEMS)
    assert rows.tolist() == [[2, 0, 3, 1, PAD]]
    np.testing.assert_allclose(scores, [[2, 1, 1, 0.5, -np.inf]])


@pytest.mark.parametrize("name", RANKERS)
def test_every_ranker_returns_the_candidates_that_it_was_given_best_first(name):
    generator = np.random.default_rng(1)
    queries = generator.normal(size=(6, 4)).astype(np.float32)
    vectors = generator.normal(size=(20, 4)).astype(np.float32)
    given = np.array([[*generator.permutation(20)[:7], PAD] for _ in range(6)])
    rows, scores = RANKERS[name](queries, given, vectors)
    assert [sorted(row) for row in rows.tolist()] == [sorted(row) for row in given.tolist()]
    assert (np.diff(scores[:, :7], axis=1) <= 0).all() and np.isneginf(scores[:, 7]).all()
