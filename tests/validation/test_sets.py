import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.heads.learning import Recipe, learn_head, survey
from recsys.ranking.item_weights import ItemWeights, digests
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.validation.sets import cold_exam, mixed_exam
from tests.dataset.make import dataset_of

HELD = np.arange(3, 120, 4)


def test_an_exam_hides_the_held_items_and_the_clicks_that_it_asks_for(shop):
    exam = mixed_exam(shop, HELD, 7, 500)
    left, met = exam.rest.interactions.matrix_UI.toarray(), shop.interactions.matrix_UI.toarray()
    assert not left[:, HELD].any() and (left <= met).all()
    hidden = met.sum() - met[:, HELD].sum() - left.sum()
    assert 0.1 * met.sum() < hidden < 0.3 * met.sum()
    assert set(exam.asked) == {"warm", "tail", "mixed"}
    for name, asked in exam.asked.items():
        rows = np.concatenate([exam.warm, HELD]) if name == "mixed" else exam.warm
        for user, relevant in enumerate(asked.relevant_UR):
            wanted = rows[relevant[relevant >= 0]]
            known = exam.warm[asked.met_UW[[user]].indices]
            assert len(wanted) and not set(wanted) & set(known)
            excluded = rows[asked.excluded_UE[user][asked.excluded_UE[user] >= 0]]
            assert set(excluded) == set(known)


def test_marks_are_those_of_lists_ranked_by_hand():
    met = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]])
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    exam = cold_exam(dataset_of(vectors, met, item_ids=tuple("abcd")), np.array([2, 3]), 0, 10)
    # user 1 met item 0 and is asked for item 2, user 2 met item 1 and is asked for item 3: both first of two
    mark = exam.marks(vectors[exam.warm], vectors[[2, 3]], {"ridge": (1.0, None)}, 1)["ridge"]["cold"]
    assert (mark.ndcg, mark.recall, mark.sum) == (1.0, 1.0, 2.0)
    swapped = exam.marks(vectors[exam.warm], vectors[[3, 2]], {"ridge": (1.0, None)}, 1)["ridge"]["cold"]
    assert (swapped.ndcg, swapped.recall) == (0.0, 1.0)


def test_no_more_users_are_asked_than_allowed_and_the_seed_says_which(shop):
    exams = [mixed_exam(shop, HELD, seed, 10) for seed in (7, 7, 8)]
    asked = [exam.asked["mixed"].met_UW.toarray() for exam in exams]
    assert [len(one) for one in asked] == [10, 10, 10]
    assert np.array_equal(asked[0], asked[1]) and not np.array_equal(asked[0], asked[2])


def test_users_whose_tastes_find_the_directions_are_sampled(shop, fusion_params):
    few = fusion_params.model_copy(update={"max_users": 9, "width": 500})
    assert survey(shop, few).tastes_UM.shape == (9, 120)
    assert learn_head(shop, Recipe(0.3, 0.75, 1.0, None, {}), few).dim <= 9


def test_lists_of_each_way_are_marked_as_scoring_and_sorting_by_hand_would(shop, monkeypatch):
    exam = mixed_exam(shop, HELD, 7, 500)
    warm, held = shop.vectors_ID[exam.warm], shop.vectors_ID[HELD]
    ids = [shop.item_ids[row] for row in exam.warm]
    order = np.argsort(digests(ids))
    dense = np.random.default_rng(2).normal(size=(len(ids), len(ids))).astype(np.float32)
    ranker = ItemWeights(digests(ids)[order], csr_array(dense), np.full(len(ids), 0.5, np.float32), len(ids))
    monkeypatch.setattr("recsys.validation.sets.BLOCK_SCORES", 7 * 120)  # users in blocks of seven
    ways = {"alone": (3.0, None), "weighed": (3.0, ranker), "looser": (30.0, None)}
    found = exam.marks(warm, held, ways, 5)
    place = np.argsort(order)
    for choice, (ridge_lambda, weights) in ways.items():
        for name, profiles in (("warm", warm), ("mixed", np.concatenate([warm, held]))):
            asked = exam.asked[name]
            met = asked.met_UW.toarray()
            users = np.linalg.solve(warm.T @ warm + ridge_lambda * np.eye(8), warm.T @ met.T).T
            scores = users @ profiles.T
            if weights:
                added = met @ dense[np.ix_(place, place)]
                scores[:, : len(ids)] = 0.5 * scores[:, : len(ids)] + added
            scores[:, : len(ids)][met > 0] = -np.inf
            ranked = np.argsort(-scores, axis=1, kind="stable")[:, :25]
            assert found[choice][name].ndcg == pytest.approx(
                ndcg_at_k(ranked, asked.relevant_UR, 5).mean(), abs=1e-4
            )
            assert found[choice][name].recall == pytest.approx(
                recall_at_k(ranked, asked.relevant_UR, 25).mean(), abs=1e-4
            )
