from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.heads.learning import survey
from recsys.ranking.dot import Dot
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.validation.sets import hold_out_items, hold_out_items_and_pairs
from tests.dataset.make import dataset_of

HELD = np.arange(3, 120, 4)


def test_a_set_hides_the_held_items_and_the_interactions_that_it_asks_for(dataset):
    validation = hold_out_items_and_pairs(dataset, HELD, 7, 500, 0.2)
    known = validation.dataset.interactions
    left, matrix_UI = known.matrix_UI.toarray(), dataset.interactions.matrix_UI.toarray()
    assert not left[:, HELD].any() and (left <= matrix_UI).all()
    hidden = matrix_UI.sum() - matrix_UI[:, HELD].sum() - left.sum()
    assert 0.1 * matrix_UI.sum() < hidden < 0.3 * matrix_UI.sum()
    assert set(validation.tasks) == {"warm", "mixed"}
    for name, task in validation.tasks.items():
        candidates = [*known.warm, *HELD] if name == "mixed" else known.warm
        np.testing.assert_array_equal(task.candidates, candidates)
        for user, relevant, excluded in zip(task.users, task.relevant_UR, task.excluded_UE, strict=True):
            history = set(np.flatnonzero(left[user]))
            wanted = set(relevant[relevant >= 0])
            assert wanted and wanted <= set(candidates) & set(np.flatnonzero(matrix_UI[user])) - history
            assert set(excluded[excluded >= 0]) == history


@pytest.mark.parametrize("head_share", [0.2, 0.5])
def test_the_tail_is_what_the_head_share_of_judging_leaves(dataset, head_share):
    validation = hold_out_items_and_pairs(dataset, HELD, 7, 500, head_share)
    known, tail = validation.dataset.interactions, validation.tail
    head = known.warm[np.argsort(-known.n_users_I[known.warm], kind="stable")]
    head = head[: int(np.ceil(head_share * len(head)))]
    wanted = set(tail.relevant_UR[tail.relevant_UR >= 0])
    assert wanted and not wanted & set(head)


def test_metrics_are_those_of_lists_ranked_by_hand():
    matrix_UI = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]])
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    # user 1 has item 0 and is asked for item 2, user 2 has item 1 and is asked for item 3: both first of two
    validation = hold_out_items(dataset_of(vectors, matrix_UI), np.array([2, 3]), 0, 10)
    found = validation.per_user(validation.dataset, {"dot": Dot()}, 1)["dot"]["cold"]
    assert found.tolist() == [[1.0, 1.0]] * 2
    swapped = replace(validation.dataset, vectors_ID=vectors[[0, 1, 3, 2]])
    found = validation.per_user(swapped, {"dot": Dot()}, 1)["dot"]["cold"]
    assert found.tolist() == [[0.0, 1.0]] * 2


def test_no_more_users_are_sampled_than_allowed_and_the_seed_says_which(dataset):
    sets = [hold_out_items_and_pairs(dataset, HELD, seed, 10, 0.2) for seed in (7, 7, 8)]
    users = [one.tasks["mixed"].users for one in sets]
    assert [len(one) for one in users] == [10, 10, 10]
    assert np.array_equal(users[0], users[1]) and not np.array_equal(users[0], users[2])


def test_users_whose_tastes_find_the_directions_are_sampled(dataset, fusion_params):
    few = fusion_params.model_copy(update={"max_users": 9, "width": 500})
    assert survey(dataset, few).tastes_UM.shape == (9, 120)


def test_rankers_are_judged_as_lists_ranked_by_hand_in_blocks_of_users(dataset, monkeypatch):
    validation = hold_out_items_and_pairs(dataset, HELD, 7, 500, 0.2)
    known = validation.dataset.interactions
    warm, ids = known.warm, [dataset.item_ids[row] for row in known.warm]
    order = np.argsort(digests(ids))
    dense = np.random.default_rng(2).normal(size=(len(ids), len(ids))).astype(np.float32)
    ranker = ItemWeights(digests(ids)[order], csr_array(dense), np.full(len(ids), 0.5, np.float32), len(ids))
    monkeypatch.setattr("recsys.ranking.tasks.BLOCK_SCORES", 7 * 120)  # users in blocks of seven
    found = validation.per_user(
        replace(validation.dataset, ridge_lambda=3.0), {"dot": Dot(), "weights": ranker}, 5
    )
    place, vectors = np.argsort(order), dataset.vectors_ID
    history = known.matrix_UI.toarray()[:, warm]
    users = np.linalg.solve(vectors[warm].T @ vectors[warm] + 3.0 * np.eye(8), vectors[warm].T @ history.T).T
    for choice in ("dot", "weights"):
        for task in (*validation.tasks.values(), validation.tail):
            scores = users[task.users] @ vectors[task.candidates].T
            if choice == "weights":
                added = history[task.users] @ dense[np.ix_(place, place)]
                scores[:, : len(ids)] = 0.5 * scores[:, : len(ids)] + added
            scores[:, : len(ids)][history[task.users] > 0] = -np.inf
            ranked = task.candidates[np.argsort(-scores, axis=1, kind="stable")[:, :25]]
            ndcg, recall = ndcg_at_k(ranked, task.relevant_UR, 5), recall_at_k(ranked, task.relevant_UR, 25)
            by_hand_U2 = np.stack([ndcg, recall], axis=1)
            np.testing.assert_allclose(found[choice][task.name], by_hand_U2, atol=1e-4)
