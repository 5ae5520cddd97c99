from typing import get_args

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.baselines.baselines import BASELINES
from recsys.baselines.params import RivalName
from recsys.dataset.histories import PAD
from recsys.ranking.tasks import rank
from tests.dataset.make import dataset_of, with_matrix

# Items 0-5 are warm, 6-8 cold. Users 0 and 1 like rivers, user 2 engines.
TEXTS = (
    "river one",
    "river two",
    "river bank",
    "engine one",
    "engine two",
    "engine oil",
    "river new",
    "engine new",
    "moon",
)
TAGS = (("water",), ("water",), ("water",), ("steel",), ("steel",), ("steel",), ("water",), ("steel",), ())
MATRIX_UI = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 3), (2, 4), (2, 5), (1, 2))
COLD = np.array([6, 7, 8])
USERS = np.array([0, 1, 2])


@pytest.fixture(scope="module")
def known():
    vectors = np.array(
        [
            [1, 0.1, 0], [1, 0.2, 0], [1, 0, 0.1], [0.1, 1, 0], [0, 1, 0.2], [0, 1, 0.1],
            [1, 0.1, 0.1], [0.1, 1, 0.1], [0, 0, 1],
        ],
        np.float32,
    )  # fmt: skip
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    users, items = zip(*MATRIX_UI, strict=True)
    histories = csr_array((np.ones(len(MATRIX_UI)), (users, items)), shape=(3, 9))
    return dataset_of(vectors, histories, TEXTS, TAGS, seed=3)


N_TASTES, ITEMS_EACH, USERS_EACH = 4, 15, 15


@pytest.fixture(scope="module")
def tastes():
    return np.repeat(np.arange(N_TASTES), USERS_EACH)


@pytest.fixture(scope="module")
def dataset(tastes):
    """Users meet two thirds of their taste's items and one other; the last item of each taste is cold."""
    rng = np.random.default_rng(0)
    of_item = np.concatenate([np.repeat(np.arange(N_TASTES), ITEMS_EACH), np.arange(N_TASTES)])
    vectors = (np.eye(8)[of_item] + rng.normal(0, 0.15, (len(of_item), 8))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = (of_item == tastes[:, None]) & (rng.random((len(tastes), len(of_item))) < 2 / 3)
    matrix_UI[np.arange(len(tastes)), rng.integers(0, N_TASTES * ITEMS_EACH, len(tastes))] = True
    matrix_UI[:, -N_TASTES:] = False
    texts = tuple(f"text {row}" for row in range(len(of_item)))
    return dataset_of(vectors, matrix_UI, texts, seed=3)


@pytest.mark.parametrize("name", BASELINES)
def test_scores_are_finite_and_do_not_depend_on_the_other_users(name, known):
    model = BASELINES[name](known)
    everything = np.asarray(model.scores(USERS, np.arange(9)))
    assert everything.shape == (3, 9) and np.isfinite(everything).all()
    alone = np.asarray(model.scores(USERS[2:], COLD[1:]))
    np.testing.assert_allclose(alone, everything[2:, 7:], rtol=1e-5, atol=1e-6)


def test_chance_gives_an_item_its_number_whichever_others_are_scored(known):
    model, items = BASELINES["random"](known), np.arange(1_000)
    numbers = np.random.default_rng([known.seed, 2]).random(1_000, np.float32)
    for some in (items, items[301:], items[302:700:3], items[::-1], items[:0]):
        np.testing.assert_array_equal(model.scores(np.array([2]), some)[0], numbers[some])


@pytest.mark.parametrize("name", BASELINES)
def test_learning_twice_gives_the_same_scores(name, known):
    one, other = (BASELINES[name](known).scores(USERS, COLD) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", BASELINES)
def test_nothing_is_learned_from_items_without_interactions(name, known):
    assert set(BASELINES[name](known).learned_from) <= set(range(6))


@pytest.mark.parametrize("name", BASELINES)
def test_lists_hold_candidates_once_and_none_that_is_excluded(name, known):
    excluded = np.array([[6, PAD], [PAD, PAD], [0, 8]])  # 0 is no candidate: nothing to leave out
    found = rank(BASELINES[name](known), USERS, COLD, 4, excluded)
    assert sorted(found.rows_UK[0]) == [PAD, PAD, 7, 8]
    assert sorted(found.rows_UK[1]) == [PAD, 6, 7, 8]
    assert sorted(found.rows_UK[2]) == [PAD, PAD, 6, 7]


@pytest.mark.parametrize("name", ["tfidf_centroid", "encoder_centroid", "ridge"])
def test_what_knows_texts_finds_the_cold_item_of_each_users_taste(name, known):
    found = rank(BASELINES[name](known), USERS, COLD, 1)
    assert found.rows_UK.tolist() == [[6], [6], [7]]


def test_popular_counts_interactions_and_knows_no_cold_item(known):
    scores = BASELINES["popular"](known).scores(USERS[:1], np.arange(9))[0]
    np.testing.assert_array_equal(scores, [2, 2, 2, 1, 1, 1, 0, 0, 0])


def test_same_category_gives_a_cold_item_the_shrunken_popularity_of_its_tag(known):
    # average 9 / 6 = 1.5; water: (6 + 5 * 1.5) / (3 + 5), steel: (3 + 7.5) / 8; no tag: the average
    scores = BASELINES["same_category"](known).scores(USERS[:1], COLD)[0]
    np.testing.assert_allclose(scores, [13.5 / 8, 10.5 / 8, 1.5])


def test_ridge_weighs_a_direction_that_all_items_share_less_than_a_centroid_does(known):
    user = np.array([0])
    centroid, ridge = (BASELINES[name](known).scores(user, COLD)[0] for name in ("encoder_centroid", "ridge"))
    assert ridge[0] / ridge[1] > centroid[0] / centroid[1]


def test_many_users_are_ranked_in_blocks_without_a_difference(known, monkeypatch):
    model = BASELINES["ridge"](known)
    whole = rank(model, USERS, COLD, 3)
    monkeypatch.setattr("recsys.ranking.tasks.BLOCK_SCORES", 3)
    np.testing.assert_array_equal(rank(model, USERS, COLD, 3).rows_UK, whole.rows_UK)


RIVALS = get_args(RivalName)


def test_every_name_that_params_allow_is_a_recaller():
    assert set(RIVALS) < set(BASELINES)


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize(
    ("pairs", "users"),
    [((), 2), (((0, 1),), 1), (tuple((0, item) for item in range(9)), 1), (((0, 0), (1, 1)), 3)],
    ids=["nothing warm", "one user", "a history of everything", "a user without a history"],
)
def test_a_data_set_with_next_to_nothing_in_it_still_gets_finite_scores(name, pairs, users, known):
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    histories = csr_array((np.ones(len(pairs)), (rows, columns)), shape=(users, 9))
    model = BASELINES[name](with_matrix(known, histories))
    user_rows = np.arange(users)
    assert np.isfinite(np.asarray(model.scores(user_rows, np.arange(9)))).all()
    found = rank(model, user_rows, np.arange(9), 3)
    assert all(len(set(row)) == 3 for row in found.rows_UK.tolist())
    assert len(model.learned_from) == len(set(columns))


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_find_the_cold_item_of_each_taste(name, dataset, tastes):
    cold = np.arange(len(dataset.texts) - N_TASTES, len(dataset.texts))
    found = rank(BASELINES[name](dataset), np.arange(len(tastes)), cold, 1).rows_UK[:, 0] - cold[0]
    assert (found == tastes).mean() > 0.9
