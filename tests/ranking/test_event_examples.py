"""Examples of recalled candidates: what was held out is a click, negatives are sampled, and nothing else is there."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.ranking.dot import Dot
from recsys.ranking.event_examples import Events, examples_of
from recsys.ranking.recommender import learn_recommender
from recsys.ranking.tasks import make_task
from tests.dataset.make import dataset_of

N_USERS, N_ITEMS = 12, 30


@pytest.fixture(scope="module")
def held():
    """Which pairs are held out: a quarter of all."""
    return np.random.default_rng(1).random((N_USERS, N_ITEMS)) < 0.25


@pytest.fixture(scope="module")
def recommender(held):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(N_ITEMS, 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    matrix = (rng.random((N_USERS, N_ITEMS)) < 0.3) & ~held
    return learn_recommender(dataset_of(vectors, matrix, ridge_lambda=1.0), Dot())


def task_of(recommender, held):
    known = dataset_of(recommender.users.vectors_ID, recommender.users.histories_UI.toarray()).interactions
    return make_task("warm", np.arange(N_ITEMS), known, csr_array(held.astype(float)), 100, 0)


def test_held_out_pairs_are_clicks_and_items_of_the_history_are_no_examples(recommender, held):
    task = task_of(recommender, held)
    found = examples_of(recommender, task, N_ITEMS, 0, 0)
    history = recommender.users.histories_UI.toarray() > 0
    users = found.row_U[found.user_E]
    assert not history[users, found.item_E].any() and (found.log_q_E == 0).all()
    np.testing.assert_array_equal(found.clicked_E, held[users, found.item_E])
    assert len(found.item_E) == sum((~history[user]).sum() for user in task.users)


def test_sampled_negatives_know_their_share_and_clicks_all_stay(recommender, held):
    task = task_of(recommender, held)
    whole, found = (examples_of(recommender, task, N_ITEMS, n, 0) for n in (0, 5))
    assert found.clicked_E.sum() == whole.clicked_E.sum() and len(found.item_E) < len(whole.item_E)
    for user in range(len(task.users)):
        n_negatives = (~whole.clicked_E[whole.user_E == user]).sum()
        of_user = np.unique(found.log_q_E[found.user_E == user])
        assert of_user == pytest.approx(np.log(min(1, 5 / n_negatives)), abs=1e-6)


def test_purchases_and_values_stand_beside_clicks_alone_and_zero_is_a_value(recommender, held):
    task = task_of(recommender, held)
    user, item = task.users[0], task.relevant_UR[0, 0]
    shape = (N_USERS, N_ITEMS)
    bought, worth = (csr_array(([one], ([user], [item])), shape=shape) for one in (1.0, 0.0))
    found = examples_of(recommender, task, N_ITEMS, 0, 0, Events(bought, worth))
    assert found.purchased_E.sum() == 1 and np.isfinite(found.value_E).sum() == 1
    (place,) = np.flatnonzero(found.purchased_E)
    assert (found.item_E[place], found.value_E[place]) == (item, 0)


def test_a_task_without_users_gives_no_examples(recommender):
    found = examples_of(recommender, task_of(recommender, np.zeros((N_USERS, N_ITEMS))), N_ITEMS, 5, 0)
    assert len(found.item_E) == len(found.row_U) == 0


def test_with_impressions_only_what_was_shown_is_an_example_and_held_out_clicks_stand_for_all(
    recommender, held
):
    shown = np.random.default_rng(4).random((N_USERS, N_ITEMS)) < 0.6
    task = task_of(recommender, held)
    found = examples_of(recommender, task, 3, 2, 0, Events(shown_UI=csr_array(shown.astype(float))))
    history = recommender.users.histories_UI.toarray() > 0
    users = found.row_U[found.user_E]
    expected = (shown & ~history)[task.users]
    assert len(found.item_E) == expected.sum() and shown[users, found.item_E].all()
    np.testing.assert_array_equal(found.clicked_E, held[users, found.item_E])
    n_held, n_known = (shown & held & ~history)[task.users].sum(), (shown & history)[task.users].sum()
    assert found.log_q_E == pytest.approx(-np.log(n_held / (n_held + n_known)), abs=1e-6)


def test_impressions_without_a_click_give_examples_without_one(recommender, held):
    task = task_of(recommender, held)
    shown = csr_array((~held).astype(float))
    found = examples_of(recommender, task, 3, 2, 0, Events(shown_UI=shown))
    assert len(found.item_E) and not found.clicked_E.any() and (found.log_q_E == 0).all()
