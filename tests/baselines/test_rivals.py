"""What RBF ridge, the two-tower head and the blend are, against plain formulas."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.baselines.als_map import KAPPAS, LIFTS, MAP_LAMBDAS, als_map
from recsys.baselines.blend import FROM, GRID, blend
from recsys.baselines.ease_prior import EaseSettings, ease_prior, learn_ease
from recsys.baselines.rbf_ridge import DEFAULT_SHARPNESS, LAMBDAS, SHARPNESSES, rbf, rbf_ridge
from recsys.baselines.two_tower import DEFAULT_EPOCHS, EPOCHS, train, two_tower
from recsys.ranking.dot import ridge_users
from recsys.ranking.plain_blend import measured
from recsys.validation.tuning import tuning_sets
from tests.dataset.make import dataset_of

N_WARM = 30
USERS, ITEMS = np.arange(25), np.arange(36)


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(36, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = rng.random((25, 36)) < np.linspace(0.05, 0.9, 36)
    matrix_UI[:, N_WARM:] = False
    matrix_UI[0] = False
    matrix_UI[0, 3] = True
    matrix_UI[1:6, :N_WARM] |= np.eye(5, N_WARM, dtype=bool)
    return dataset_of(vectors, matrix_UI, ("text",) * 36, ridge_lambda=2.0, seed=3)


def test_rbf_ridge_with_every_warm_item_a_landmark_is_kernel_ridge(known):
    warm = known.warm
    vectors = known.vectors_ID.astype(np.float64)
    kernel = rbf(vectors[warm], vectors[warm], DEFAULT_SHARPNESS)
    weights = np.linalg.solve(
        kernel + 2.0 * np.eye(len(warm)), known.interactions.matrix_UI.toarray()[:, warm].T
    )
    expected = weights.T @ rbf(vectors[warm], vectors, DEFAULT_SHARPNESS)
    model = rbf_ridge(known, ())
    np.testing.assert_allclose(model.scores(USERS, ITEMS), expected, rtol=1e-3, atol=1e-4)
    assert model.chosen == {"γ": DEFAULT_SHARPNESS, "λ": 2.0}


def test_the_kernel_of_a_vector_with_itself_is_one_and_with_its_opposite_nearly_none():
    one = np.array([[1.0, 0.0]])
    np.testing.assert_allclose(
        rbf(one, np.array([[1.0, 0], [0, 1], [-1, 0]]), 2.0), [[1, np.exp(-2), np.exp(-4)]]
    )


def test_a_user_is_the_mean_of_the_items_that_the_item_tower_sees(known):
    model = next(train(known))
    alone = model.scores(np.array([0]), ITEMS)[0]  # user 0 met item 3 only
    own = model.items_IF[3]
    user = own + np.maximum(own @ model.hidden_FF, 0) @ model.out_FF
    np.testing.assert_allclose(alone, model.items_IF @ user, rtol=1e-4, atol=1e-5)


def test_towers_learn_step_by_step_and_the_same_each_time(known):
    twice = [two_tower(known, ()) for _ in range(2)]
    np.testing.assert_array_equal(twice[0].items_IF, twice[1].items_IF)
    epochs = train(known)
    for _ in range(DEFAULT_EPOCHS):
        last = next(epochs)
    np.testing.assert_array_equal(twice[0].items_IF, last.items_IF)
    assert not np.array_equal(next(epochs).items_IF, last.items_IF)


def test_a_blend_without_tuning_sets_is_half_of_each_part_in_the_users_own_deviations(known):
    model = blend(known, ())
    parts = (ridge_users(known), learn_ease(known, EaseSettings()))
    ridge, ease = (measured(part, USERS, ITEMS, known.warm) for part in parts)
    assert (model.weight_I == GRID[0]).all()
    np.testing.assert_allclose(model.scores(USERS, ITEMS), (ridge + ease) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ridge[:, known.warm].mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(ridge[:, known.warm].std(axis=1), 1, rtol=1e-4)


def test_weights_of_a_blend_are_those_of_the_items_bucket(known):
    model = blend(known)
    edges = (0, *FROM)
    assert {f"weight from {n} on" for n in edges} < set(model.chosen)
    for item, n_users in enumerate(known.interactions.n_users_I):
        edge = max(edge for edge in edges if edge <= n_users)
        assert model.weight_I[item] == model.chosen[f"weight from {edge} on"]


def test_a_part_that_scores_all_alike_says_nothing(known):
    silent = replace(ridge_users(known), histories_UI=csr_array((25, 36)))
    np.testing.assert_array_equal(measured(silent, USERS, ITEMS, known.warm), np.zeros((25, 36)))


@pytest.fixture
def likes_the_last(monkeypatch):
    """Validation that likes each thing that is tried better than the one before."""
    metrics = count(1)

    def liked(tuning, scores_UC):
        assert np.isfinite(scores_UC).all()
        return float(next(metrics))

    for name in ("rbf_ridge", "als_map", "ease_prior", "two_tower", "blend"):
        monkeypatch.setattr(f"recsys.baselines.{name}.mixed_ndcg", liked)


@pytest.mark.parametrize("learn", [rbf_ridge, als_map, ease_prior, two_tower, blend])
def test_what_validation_likes_best_is_what_is_learned(known, likes_the_last, learn):
    sets = tuning_sets(known)[:1]
    liked, plain = learn(known, sets), learn(known, ())
    assert liked.chosen.keys() == plain.chosen.keys() and liked.chosen != plain.chosen
    assert not np.allclose(liked.scores(USERS, ITEMS), plain.scores(USERS, ITEMS))


def test_the_last_of_everything_is_chosen_where_each_is_liked_better(known, likes_the_last):
    sets = tuning_sets(known)[:1]
    assert rbf_ridge(known, sets).chosen == {"γ": SHARPNESSES[-1], "λ": LAMBDAS[-1]}
    assert als_map(known, sets).chosen == {
        "λ of the map": MAP_LAMBDAS[-1],
        "κ": KAPPAS[-1],
        "lift": LIFTS[-1],
    }
    assert two_tower(known, sets).chosen == {"epochs": EPOCHS}
