import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.fusion.choosing import choose_memory, choose_recipe
from recsys.fusion.exams import Exam, Mark, Shop, cold_exam, mixed_exam
from recsys.fusion.heads import Recipe, learn_head, survey
from recsys.fusion.memory import learn_memory

HELD = np.arange(3, 120, 4)
LAMBDAS = (0.3, 1.0, 3.0)


@pytest.fixture(scope="module")
def secretive():
    """People's tastes follow groups that neither the words nor the encoder's vectors tell."""
    rng = np.random.default_rng(0)
    group = rng.permutation(120) % 6
    vectors = rng.normal(size=(120, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    met = np.zeros((80, 120))
    for user in range(80):
        met[user, rng.choice(np.flatnonzero(group == user % 6), 12, replace=False)] = 1
    return Shop(tuple(f"thing number{place}" for place in range(120)), vectors, csr_array(met)), group


def test_items_that_the_same_people_met_are_remembered_side_by_side(secretive, fusion_params):
    shop, group = secretive
    memory = learn_memory(shop, np.arange(120), 1.0, fusion_params)
    rows = memory.of(shop.texts)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike, same = units @ units.T, (group[:, None] == group) & ~np.eye(120, dtype=bool)
    assert alike[same].mean() > alike[~same].mean() + 0.5


def test_an_item_that_more_people_met_is_remembered_at_more_length(fusion_params):
    met = np.zeros((12, 4))
    met[:2, 0] = met[:6, 1] = met[:, 2] = met[0, 3] = 1
    shop = Shop(("a", "b", "c", "d"), np.eye(4, dtype=np.float32), csr_array(met))
    params = fusion_params.model_copy(update={"items_per_factor": 2, "memory_half": 6.0})
    found = np.linalg.norm(learn_memory(shop, np.arange(4), 0.5, params).of(shop.texts), axis=1)
    np.testing.assert_allclose(found, 0.5 * np.array([2 / 8, 6 / 12, 12 / 18, 1 / 7]), rtol=1e-5)


def test_items_with_one_text_are_one_text_met_by_all_of_them(fusion_params):
    met = np.zeros((9, 5))
    met[:3, 0] = met[2:6, 1] = met[4:, 2] = met[::2, 3] = met[1, 4] = 1
    texts = ("same", "same", "other", "third", "fourth")
    shop = Shop(texts, np.eye(5, dtype=np.float32), csr_array(met))
    params = fusion_params.model_copy(update={"items_per_factor": 2, "memory_half": 0.0})
    rows = learn_memory(shop, np.arange(5), 1.0, params).of(texts)
    np.testing.assert_array_equal(rows[0], rows[1])
    joint = met[:, 1:].copy()
    joint[:, 0] = np.maximum(met[:, 0], met[:, 1])
    alone = learn_memory(
        Shop(texts[1:], np.eye(4, dtype=np.float32), csr_array(joint)), np.arange(4), 1.0, params
    )
    np.testing.assert_allclose(rows[1:], alone.of(texts[1:]), atol=1e-6)


def test_people_of_a_single_item_leave_the_others_side_by_side(secretive, fusion_params):
    shop, group = secretive
    lone = np.zeros((80 + 40, 120 + 40))
    lone[:80, :120] = shop.histories_UI.toarray()
    lone[80:, 120:] = np.eye(40)
    texts = (*shop.texts, *(f"lone{place}" for place in range(40)))
    apart = Shop(texts, np.ones((160, 8), np.float32), csr_array(lone))
    rows = learn_memory(apart, np.arange(160), 1.0, fusion_params).of(shop.texts)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    alike, same = units @ units.T, (group[:, None] == group) & ~np.eye(120, dtype=bool)
    assert alike[same].mean() > alike[~same].mean() + 0.5


def test_items_met_by_the_very_same_people_are_remembered_as_one(fusion_params):
    met = np.kron(np.eye(3), np.ones((5, 10)))  # rank 3: three groups of people, ten items each
    shop = Shop(tuple(map(str, range(30))), np.ones((30, 8), np.float32), csr_array(met))
    params = fusion_params.model_copy(update={"items_per_factor": 2})
    rows = learn_memory(shop, np.arange(30), 1.0, params).of(shop.texts)
    assert rows.shape[1] == 3
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(units @ units.T, np.kron(np.eye(3), np.ones((10, 10))), atol=1e-4)


def test_there_is_nothing_to_remember_at_weight_zero(secretive, fusion_params):
    assert learn_memory(secretive[0], np.arange(120), 0.0, fusion_params) is None


def test_one_item_is_nothing_to_remember(fusion_params):
    shop = Shop(("a",), np.ones((1, 4), np.float32), csr_array(np.ones((3, 1))))
    assert learn_memory(shop, np.arange(1), 1.0, fusion_params) is None


def test_memory_is_chosen_where_clicks_tell_what_texts_do_not(secretive, fusion_params):
    shop, _ = secretive
    narrow = fusion_params.model_copy(update={"width": 2})  # else unique words tell every item apart
    recipe = choose_memory(shop, HELD, Recipe(0.3, 0.0, 1.0, None, {}), narrow, LAMBDAS, 5, 500)
    assert recipe.memory_weight == 0.5
    assert recipe.lists["warm"] > 1.5 * recipe.lists["warm without memory"]
    head = learn_head(shop, recipe, fusion_params)
    assert head.dim == head.projection_MD.shape[1] + head.memory.dim


def test_memory_is_not_chosen_where_it_ranks_new_items_worse(secretive, fusion_params, monkeypatch):
    shop, _ = secretive
    narrow = fusion_params.model_copy(update={"width": 2})
    marks = Exam.marks

    def worse_for_new(self, warm_WD, held_HD, lambdas, k):
        found = marks(self, warm_WD, held_HD, lambdas, k)
        if warm_WD.shape[1] > 2:  # with memory
            for lists in found.values():
                lists["cold"] = Mark(-1.0, -1.0)
        return found

    monkeypatch.setattr(Exam, "marks", worse_for_new)
    recipe = choose_memory(shop, HELD, Recipe(0.3, 0.0, 1.0, None, {}), narrow, LAMBDAS, 5, 500)
    assert recipe.memory_weight == 0


def test_the_choice_is_among_all_that_was_tried(shop, fusion_params):
    base = choose_recipe(shop, (HELD,), fusion_params, LAMBDAS, 5, 500)
    recipe = choose_memory(shop, HELD, base, fusion_params, LAMBDAS, 5, 500)
    assert set(recipe.tried) > set(base.tried)
    assert {name for name in recipe.tried if name.startswith("memory")} == {
        f"memory {weight}, λ {one:g}" for weight in ("0", "0.5") for one in LAMBDAS
    }
    assert (recipe.lexical_share, recipe.metric_power, recipe.ndcg) == (
        base.lexical_share, base.metric_power, base.ndcg,
    )  # fmt: skip


@pytest.mark.parametrize("weights", [(0.0,), (0.0, 0.5)])
def test_without_a_head_or_weights_there_is_no_memory(shop, fusion_params, weights):
    params = fusion_params.model_copy(update={"memory_weights": weights})
    plain = Recipe(None if any(weights) else 0.3, 0.0, 1.0, None, {})
    assert choose_memory(shop, HELD, plain, params, LAMBDAS, 5, 500) == plain


def test_an_exam_hides_the_held_items_and_the_clicks_that_it_asks_for(shop):
    exam = mixed_exam(shop, HELD, 7, 500)
    left, met = exam.rest.histories_UI.toarray(), shop.histories_UI.toarray()
    assert not left[:, HELD].any() and (left <= met).all()
    hidden = met.sum() - met[:, HELD].sum() - left.sum()
    assert 0.1 * met.sum() < hidden < 0.3 * met.sum()
    assert set(exam.asked) == {"cold", "warm", "mixed"}
    for name, asked in exam.asked.items():
        rows = {"cold": HELD, "warm": exam.warm, "mixed": np.concatenate([exam.warm, HELD])}[name]
        for user, relevant in enumerate(asked.relevant_UR):
            wanted = rows[relevant[relevant >= 0]]
            known = exam.warm[asked.met_UW[[user]].indices]
            assert len(wanted) and not set(wanted) & set(known)
            excluded = rows[asked.excluded_UE[user][asked.excluded_UE[user] >= 0]]
            assert name == "cold" or set(excluded) == set(known)


def test_marks_are_those_of_lists_ranked_by_hand():
    met = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]])
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    exam = cold_exam(Shop(("a", "b", "c", "d"), vectors, csr_array(met)), np.array([2, 3]), 0, 10)
    # user 1 met item 0 and is asked for item 2, user 2 met item 1 and is asked for item 3: both first of two
    mark = exam.marks(vectors[exam.warm], vectors[[2, 3]], (1.0,), 1)[1.0]["cold"]
    assert (mark.ndcg, mark.recall, mark.sum) == (1.0, 1.0, 2.0)
    swapped = exam.marks(vectors[exam.warm], vectors[[3, 2]], (1.0,), 1)[1.0]["cold"]
    assert (swapped.ndcg, swapped.recall) == (0.0, 1.0)


def test_no_more_users_are_asked_than_allowed_and_the_seed_says_which(shop):
    exams = [mixed_exam(shop, HELD, seed, 10) for seed in (7, 7, 8)]
    asked = [exam.asked["cold"].met_UW.toarray() for exam in exams]
    assert [len(one) for one in asked] == [10, 10, 10]
    assert np.array_equal(asked[0], asked[1]) and not np.array_equal(asked[0], asked[2])


def test_users_whose_tastes_find_the_directions_are_sampled(shop, fusion_params):
    few = fusion_params.model_copy(update={"max_users": 9, "width": 500})
    assert survey(shop, few).tastes_UM.shape == (9, 120)
    assert learn_head(shop, Recipe(0.3, 0.75, 1.0, None, {}), few).dim <= 9
