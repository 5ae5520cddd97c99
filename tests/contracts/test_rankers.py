"""What every ranker promises: how it is learned, kept and asked, and that the sparse way gives the whole list."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.ranking.learning import ItemWeightsSettings
from recsys.ranking.rankers import RANKERS
from recsys.ranking.recommender import learn_recommender
from tests.dataset.make import dataset_of, with_matrix

N_ITEMS = 40
SETTINGS = ItemWeightsSettings(5.0, 0.3, 2.0, max_items=20, weights_per_item=6)
"""Of `item_weights`: fewer items have weights than are warm, so that all three kinds of item are there."""


@pytest.fixture(scope="module")
def dataset():
    """Users of four tastes; the last eight items are cold."""
    rng = np.random.default_rng(0)
    tastes = np.arange(N_ITEMS) % 4
    vectors = np.eye(6)[tastes] + rng.normal(scale=0.4, size=(N_ITEMS, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    chance = np.where(np.arange(60)[:, None] % 4 == tastes, 0.5, 0.05) * np.linspace(1, 0.3, N_ITEMS)
    matrix = rng.random((60, N_ITEMS)) < chance
    matrix[:, -8:] = False
    return dataset_of(vectors, matrix, ridge_lambda=2.0)


@pytest.fixture(scope="module", params=list(RANKERS))
def ranker(request, dataset):
    return RANKERS[request.param].learn(dataset, SETTINGS)


def test_all_kinds_of_items_are_there(dataset):
    groups = RANKERS["item_weights"].learn(dataset, SETTINGS).over(dataset.item_ids).groups
    assert len(groups.scored) and len(groups.by_dot) == 2 and all(mask.any() for mask, _ in groups.by_dot)


def test_what_is_saved_scores_as_before_and_has_the_same_bytes(ranker, dataset, tmp_path):
    paths = ranker.save(tmp_path)
    before = [path.read_bytes() for path in paths]
    assert len(paths) == ranker.n_files
    again = type(ranker).load(paths)
    assert [path.read_bytes() for path in again.save(tmp_path)] == before
    everybody, everything = np.arange(60), np.arange(N_ITEMS)
    np.testing.assert_array_equal(
        learn_recommender(dataset, again).scores(everybody, everything),
        learn_recommender(dataset, ranker).scores(everybody, everything),
    )


def test_a_score_depends_on_its_user_and_item_alone(ranker, dataset):
    items, histories = ranker.over(dataset.item_ids), dataset.interactions.matrix_UI
    dots = np.random.default_rng(1).normal(size=(60, N_ITEMS)).astype(np.float32)
    whole = items.score(dots, histories, np.arange(N_ITEMS))
    users, candidates = np.array([41, 3]), np.array([39, 0, 17])
    some = items.score(dots[np.ix_(users, candidates)], csr_array(histories[users]), candidates)
    np.testing.assert_array_equal(some, whole[np.ix_(users, candidates)])


def test_cold_items_alone_stay_in_the_order_of_their_profiles(ranker, dataset):
    cold = np.arange(N_ITEMS - 8, N_ITEMS)
    dots = np.random.default_rng(1).normal(size=(60, 8)).astype(np.float32)
    scores = ranker.over(dataset.item_ids).score(dots, dataset.interactions.matrix_UI, cold)
    np.testing.assert_array_equal(np.argsort(scores, axis=1), np.argsort(dots, axis=1))


def test_every_item_is_scored_or_in_one_group_whose_factor_gives_its_score(ranker, dataset):
    items, histories = ranker.over(dataset.item_ids), dataset.interactions.matrix_UI
    dots = np.random.default_rng(1).normal(size=(60, N_ITEMS)).astype(np.float32)
    whole = items.score(dots, histories, np.arange(N_ITEMS))
    n_times = np.bincount(items.groups.scored, minlength=N_ITEMS)
    for mask, factor in items.groups.by_dot:
        n_times += mask
        np.testing.assert_allclose(whole[:, mask], dots[:, mask] * factor, rtol=1e-6)
        assert factor > 0
    assert (n_times == 1).all()


def test_items_of_another_catalogue_are_scored_by_their_profiles(ranker):
    ids, nobody = [f"new{row}" for row in range(N_ITEMS)], csr_array((3, N_ITEMS))
    dots = np.random.default_rng(1).normal(size=(3, N_ITEMS)).astype(np.float32)
    np.testing.assert_array_equal(ranker.over(ids).score(dots, nobody, np.arange(N_ITEMS)), dots)


def test_growth_is_one_at_the_size_of_training(ranker, dataset):
    assert ranker.growth(len(dataset.warm)) == 1 and ranker.growth(0) > 0


def test_nothing_is_learned_where_there_is_too_little(dataset):
    assert RANKERS["item_weights"].learn(with_matrix(dataset, np.zeros((3, N_ITEMS))), SETTINGS) is None
    assert RANKERS["dot"].learn(with_matrix(dataset, np.zeros((3, N_ITEMS))), SETTINGS) is not None
