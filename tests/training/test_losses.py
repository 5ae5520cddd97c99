import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.profiles.ridge import Ridge
from recsys.training.losses.co_occurrence import co_occurrence_softmax
from recsys.training.losses.mean import mean_users
from recsys.training.losses.pairs import ranked_pairs
from recsys.training.losses.ridge import ridge_users
from recsys.training.losses.softmax import two_sided_softmax

NONE = torch.zeros(1, 3, dtype=torch.bool)


def test_softmax_over_items_matches_values_counted_by_hand():
    scores = torch.tensor([[1.0, 2.0, 0.0]])
    positive = torch.tensor([[True, False, False]])
    by_hand = -math.log(math.e / (math.e + math.e**2 + 1))
    assert float(two_sided_softmax(scores, positive, NONE, torch.zeros(3), 0.0)) == pytest.approx(by_hand)


def test_a_users_other_positives_are_no_negatives():
    scores = torch.tensor([[1.0, 2.0, 0.0]])
    positive = torch.tensor([[True, True, False]])
    by_hand = (-math.log(math.e / (math.e + 1)) - math.log(math.e**2 / (math.e**2 + 1))) / 2
    assert float(two_sided_softmax(scores, positive, NONE, torch.zeros(3), 0.0)) == pytest.approx(by_hand)


def test_masked_items_are_neither_positive_nor_negative():
    scores = torch.tensor([[1.0, 9.0, 0.0]])
    masked = torch.tensor([[False, True, False]])
    positive = torch.tensor([[True, False, False]])
    by_hand = -math.log(math.e / (math.e + 1))
    assert float(two_sided_softmax(scores, positive, masked, torch.zeros(3), 0.0)) == pytest.approx(by_hand)


def test_logq_takes_the_chance_to_be_drawn_off_the_score():
    scores = torch.tensor([[1.0, 2.0, 0.0]])
    positive = torch.tensor([[True, False, False]])
    chance = torch.tensor([0.5, 0.25, 0.25])
    share = [math.e / 0.5, math.e**2 / 0.25, 1 / 0.25]
    by_hand = -math.log(share[0] / sum(share))
    found = two_sided_softmax(scores, positive, NONE, chance.log(), 0.0)
    assert float(found) == pytest.approx(by_hand, rel=1e-6)


def test_the_item_side_is_the_same_softmax_over_users():
    scores = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    positive = torch.tensor([[True, False], [False, True]])
    none = torch.zeros(2, 2, dtype=torch.bool)
    users = [-math.log(math.e / (math.e + math.e**2)), -math.log(math.e**-1 / (math.e**0.5 + math.e**-1))]
    items = [-math.log(math.e / (math.e + math.e**0.5)), -math.log(math.e**-1 / (math.e**2 + math.e**-1))]
    found = two_sided_softmax(scores, positive, none, torch.zeros(2), 0.5)
    assert float(found) == pytest.approx(sum(users) / 2 + 0.5 * sum(items) / 2)


@given(st.integers(0, 2**32 - 1))
def test_rows_without_negatives_or_positives_give_no_gradient_that_is_not_finite(seed):
    rng = np.random.default_rng(seed)
    scores = torch.tensor(rng.normal(size=(5, 4)), requires_grad=True)
    positive = torch.tensor(rng.random((5, 4)) < 0.5)
    positive[0], positive[1] = True, False  # all theirs, none theirs
    masked = torch.tensor(rng.random((5, 4)) < 0.3) & ~positive
    loss = two_sided_softmax(scores, positive, masked, torch.zeros(4), 1.0)
    assert torch.isfinite(loss) and loss >= 0
    loss.backward()
    assert torch.isfinite(scores.grad).all()


def test_a_batch_in_which_nobody_has_a_negative_costs_nothing():
    scores = torch.ones(2, 2, requires_grad=True)
    everything = torch.ones(2, 2, dtype=torch.bool)
    loss = two_sided_softmax(scores, everything, ~everything, torch.zeros(2), 1.0)
    loss.backward()
    assert loss.item() == 0 and not scores.grad.any()


def test_pairs_are_cross_entropy_with_the_own_partner():
    anchors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), dim=1)
    partners = torch.nn.functional.normalize(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), dim=1)
    scores = (anchors @ partners.T / 0.5).tolist()
    by_hand = sum(-scores[i][i] + math.log(sum(map(math.exp, scores[i]))) for i in range(2)) / 2
    assert float(ranked_pairs(anchors, partners, None, 0.5)) == pytest.approx(by_hand)


def test_items_used_together_are_their_own_distribution():
    x = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]]), dim=1)
    shared = torch.tensor([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]])
    cosines = (x @ x.T).tolist()

    def log_share(i, j):
        return cosines[i][j] - math.log(sum(math.exp(cosines[i][other]) for other in range(3) if other != i))

    by_hand = -(log_share(0, 1) + (log_share(1, 0) + log_share(1, 2)) / 2 + log_share(2, 1)) / 3
    assert float(co_occurrence_softmax(x, shared, 1.0)) == pytest.approx(by_hand, rel=1e-5)


def test_items_that_share_nobody_cost_nothing():
    assert float(co_occurrence_softmax(torch.eye(3), torch.eye(3), 0.1)) == 0


def test_ridge_users_solve_the_normal_equations_and_have_length_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4))
    b = x[:3].sum(axis=0, keepdims=True)
    w = ridge_users(b, Ridge(x.T @ x, 2.0))
    solved = np.linalg.solve(x.T @ x + 2 * np.eye(4), b[0])
    np.testing.assert_allclose(w[0], solved / np.linalg.norm(solved), rtol=1e-5)
    assert not ridge_users(np.zeros((1, 4)), Ridge(x.T @ x, 2.0)).any()


def test_mean_users_have_length_one():
    np.testing.assert_allclose(mean_users(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]])
