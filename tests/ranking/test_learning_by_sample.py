"""Item weights from the profiles of some items, against those from the profiles of all."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.ranking.dot import ridge_by_sample, ridge_of
from recsys.ranking.learning import ItemWeightsSettings, learn_by_sample, learn_item_weights
from tests.dataset.make import dataset_of

N_USERS, N_ITEMS, DIM, N_WEIGHTED = 120, 400, 6, 40
SETTINGS = ItemWeightsSettings(10.0, 0.8, 0.2, 2.0, N_WEIGHTED, 12)


@pytest.fixture(scope="module")
def dataset():
    """Likes along profiles, more of the first items; in the first dimension the profiles hold words."""
    rng = np.random.default_rng(3)
    items_ID, users_UD = rng.normal(size=(N_ITEMS, DIM)), rng.normal(size=(N_USERS, DIM))
    items_ID /= np.linalg.norm(items_ID, axis=1, keepdims=True)
    chances_UI = 0.3 / (1 + np.exp(2 - 2 * users_UD @ items_ID.T)) * np.linspace(1.5, 0.3, N_ITEMS)
    made = dataset_of(items_ID.astype(np.float32), rng.random((N_USERS, N_ITEMS)) < chances_UI)
    return replace(made, ridge_lambda=3.0, lexical_width=2, prior_weight=1.0)


def by_sample(dataset, n, profiles_of):
    known, prior_weight = dataset.interactions, dataset.prior_weight
    return learn_by_sample(known, profiles_of, 3.0, 2, prior_weight, SETTINGS, n, seed=0)


def test_a_sample_of_all_items_gives_the_same_weights(dataset):
    whole = learn_item_weights(dataset, SETTINGS)
    sampled = by_sample(dataset, N_ITEMS, dataset.vectors_ID.__getitem__)
    assert whole.weights_TT.nnz > N_WEIGHTED
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(sampled.arrays()[name], array, err_msg=name)


def test_half_of_the_items_give_nearly_the_same_weights_of_all_warm_items(dataset):
    dataset = replace(dataset, prior_weight=0.0)  # which would read profiles of many of so few items
    whole, asked = learn_item_weights(dataset, SETTINGS), set()

    def profiles_of(rows):
        asked.update(rows.tolist())
        return dataset.vectors_ID[rows]

    sampled = by_sample(dataset, N_ITEMS // 2, profiles_of)
    # Of items with equally many users, others are read than have weights.
    assert len(asked) <= 2 * N_WEIGHTED + N_ITEMS // 2 < len(dataset.warm)
    assert sampled.n_items == whole.n_items == len(dataset.warm)
    np.testing.assert_array_equal(sampled.digests_T, whole.digests_T)
    np.testing.assert_array_equal(sampled.factor_T, whole.factor_T)
    weights, others = (one.weights_TT.toarray().ravel() for one in (whole, sampled))
    assert np.corrcoef(weights, others)[0, 1] > 0.97


def test_the_gram_matrix_of_samples_is_right_in_the_mean_although_popular_items_are_unlike_others(dataset):
    """Those with the most users are moved to one side: a plain sample of the popular would count them too often."""
    moved_ID = dataset.vectors_ID.copy()
    moved_ID[dataset.interactions.most_used(N_WEIGHTED)] = np.eye(DIM, dtype=np.float32)[2]
    moved = replace(dataset, vectors_ID=moved_ID, lexical_width=0, prior_weight=0.0)
    exact_DD = ridge_of(moved).gram
    grams = [
        ridge_by_sample(moved.interactions, moved_ID.__getitem__, 3.0, 0, 0.0, N_WEIGHTED, 60, seed).gram
        for seed in range(100)
    ]
    errors_NDD = np.array(grams) - exact_DD
    assert np.abs(errors_NDD).max() > 1  # one sample is not exact
    bounds_DD = 4 * errors_NDD.std(axis=0) / np.sqrt(len(grams))
    assert (np.abs(errors_NDD.mean(axis=0)) <= bounds_DD).all()
    assert np.trace(grams[0]) == pytest.approx(len(moved.warm), rel=1e-3)


def test_nothing_is_learned_from_one_item(dataset):
    vectors_ID = dataset.vectors_ID[:1]
    one = dataset_of(vectors_ID, np.ones((3, 1)))
    assert learn_by_sample(one.interactions, vectors_ID.__getitem__, 1.0, 0, 0.0, SETTINGS, 10, 0) is None
