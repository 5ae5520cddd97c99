"""Probabilities of exploration policies against simulation."""

import numpy as np
import pytest

from recsys.ranking.exploring import POLICIES, choice_probabilities


@pytest.mark.parametrize("seed", range(5))
def test_thompson_is_the_chance_to_be_the_best_of_independent_draws(seed):
    rng = np.random.default_rng(seed)
    mean_C, deviation_C = rng.normal(size=12), rng.uniform(0.1, 2, 12)
    drawn_SC = mean_C + deviation_C * rng.standard_normal((400_000, 12))
    simulated_C = np.bincount(drawn_SC.argmax(axis=1), minlength=12) / len(drawn_SC)
    np.testing.assert_allclose(choice_probabilities("thompson", mean_C, deviation_C), simulated_C, atol=0.004)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("n", [1, 2, 50])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_every_policy_gives_probabilities(policy, n, scale):
    rng = np.random.default_rng(n)
    mean_C = scale * rng.normal(size=n).astype(np.float32)
    deviation_C = scale * rng.uniform(0, 1, n).astype(np.float32)
    found_C = choice_probabilities(policy, mean_C, deviation_C, uniform_share=0.1)
    assert found_C.shape == (n,) and found_C.sum() == pytest.approx(1)
    assert (found_C >= 0.1 / n - 1e-12).all()


def test_candidates_that_are_alike_have_equal_chances_and_certain_ones_win():
    np.testing.assert_allclose(choice_probabilities("thompson", np.zeros(4), np.ones(4)), 0.25)
    sure = choice_probabilities("thompson", np.array([1.0, 0.0, 0.0]), np.full(3, 0.01))
    assert sure[0] == pytest.approx(1)


def test_uncertain_items_are_preferred_where_the_means_are_equal():
    mean_C, deviation_C = np.zeros(3), np.array([0.1, 0.2, 2.0])
    assert choice_probabilities("linucb", mean_C, deviation_C).tolist() == [0, 0, 1]
    thompson_C = choice_probabilities("thompson", mean_C, deviation_C)
    assert thompson_C[2] > 0.4 and (np.diff(thompson_C) > 0).all()
    assert choice_probabilities("greedy", mean_C, deviation_C).tolist() == [1, 0, 0]
