from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.baselines.ease_prior import EaseSettings, learn_ease
from recsys.baselines.rbf_ridge import rbf
from tests.dataset.make import dataset_of

GAMMA, KAPPA = 4.0, 2.0


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(12, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = rng.random((30, 12)) < 0.4
    matrix_UI[:, 10:] = False
    return dataset_of(vectors, matrix_UI, ("text",) * 12, ridge_lambda=1.0, seed=3)


def left_out(known, histories, item):
    """Kernel ridge from all other warm items to this one, as a plain regression."""
    others = [row for row in range(10) if row != item]
    vectors = known.vectors_ID.astype(np.float64)
    kernel = rbf(vectors[others], vectors[others], GAMMA) + KAPPA * np.eye(len(others))
    weights = np.linalg.solve(kernel, rbf(vectors[others], vectors[[item]], GAMMA))
    return (histories[:, others] @ weights)[:, 0]


def test_a_strong_pull_leaves_the_leave_one_out_prior_on_one_scale_for_warm_and_cold(known):
    model = learn_ease(known, EaseSettings(GAMMA, KAPPA, ease_lambda=1e9))
    histories = known.interactions.matrix_UI.toarray()
    scores = model.scores(np.arange(30), np.arange(12))
    expected = np.stack([left_out(known, histories, item) for item in range(12)], axis=1)
    np.testing.assert_allclose(scores, model.scale * expected, rtol=1e-3, atol=1e-4)
    best = (histories[:, :10] * expected[:, :10]).sum() / (expected[:, :10] ** 2).sum()
    assert model.scale == pytest.approx(best)


def test_weights_minimise_the_pulled_squared_error_with_a_zero_diagonal(known):
    settings = EaseSettings(GAMMA, KAPPA, ease_lambda=3.0)
    model = learn_ease(known, settings)
    histories = known.interactions.matrix_UI.toarray()[:, :10]
    prior = learn_ease(known, replace(settings, ease_lambda=1e9)).weights_SS
    for item in range(10):
        others = [row for row in range(10) if row != item]
        gram = histories[:, others].T @ histories[:, others] + 3.0 * np.eye(9)
        right = histories[:, others].T @ histories[:, item] + 3.0 * prior[others, item]
        np.testing.assert_allclose(model.weights_SS[others, item], np.linalg.solve(gram, right), atol=1e-4)
        assert model.weights_SS[item, item] == 0


def test_the_lift_raises_only_what_the_prior_alone_knows(known):
    plain, lifted = (learn_ease(known, EaseSettings(GAMMA, KAPPA, lift=lift)) for lift in (1.0, 2.0))
    users, items = np.arange(30), np.arange(12)
    before, after = plain.scores(users, items), lifted.scores(users, items)
    np.testing.assert_array_equal(before[:, :10], after[:, :10])
    np.testing.assert_allclose(2 * before[:, 10:], after[:, 10:], rtol=1e-5)


def test_warm_items_beyond_the_bound_go_through_the_prior_and_still_speak_for_their_users(known):
    model = learn_ease(known, EaseSettings(GAMMA, KAPPA), max_items=6)
    assert model.weights_SS.shape == (6, 6) and (model.place_I >= 0).sum() == 6
    outside = np.flatnonzero(model.place_I[:10] < 0)
    only = np.zeros((1, 12))
    only[0, outside[0]] = 1
    alone = replace(model, histories_UI=csr_array(only))
    scores = alone.scores(np.array([0]), np.arange(12))[0]
    likeness = rbf(known.vectors_ID, known.vectors_ID[outside[:1]], GAMMA)[:, 0]
    assert np.ptp(scores) > 0
    inside = np.flatnonzero(model.place_I >= 0)
    mixture = likeness[inside] @ model.inverse_SS
    np.testing.assert_allclose(scores[inside], mixture @ model.weights_SS, rtol=1e-4, atol=1e-6)
