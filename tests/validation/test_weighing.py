from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array, hstack

from recsys.heads.learning import learn_head
from recsys.heads.recipe import Recipe
from recsys.ranking.head_and_tail import TailRule
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.learning import balanced, co_occurrence, item_weights
from recsys.settings import Settings
from recsys.validation.choosing import choose_recipe
from recsys.validation.weighing import choose_item_weights
from tests.conftest import ROOT
from tests.dataset.make import dataset_of

HELD = np.arange(3, 120, 4)
LAMBDAS = (0.3, 1.0, 3.0)
PLAIN = Recipe(0.3, 0.0, 1.0, None, {})
FIRST_LIGHT = Settings.load(ROOT / "params.yaml").first_light.model_copy(update={"width": 8, "wide_up_to": 0})
ANY_LOSS = TailRule(0.2, 1.0, 100, 0)


def ids(n):
    return tuple(f"item{place}" for place in range(n))


@pytest.fixture(scope="module")
def secretive():
    """People's tastes follow groups that neither the words nor the encoder's vectors tell."""
    rng = np.random.default_rng(0)
    group = rng.permutation(120) % 6
    vectors = rng.normal(size=(120, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = np.zeros((80, 120))
    for user in range(80):
        matrix_UI[user, rng.choice(np.flatnonzero(group == user % 6), 12, replace=False)] = 1
    return dataset_of(
        vectors, matrix_UI, tuple(f"thing number{place}" for place in range(120)), item_ids=ids(120)
    )


@pytest.fixture(scope="module")
def small():
    """Nine items that people like by their vectors; two have one text, the last was never met."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    vectors[1] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likes = rng.normal(size=(30, 4)) @ vectors.T + rng.normal(size=(30, 9)) / 2
    matrix_UI = (likes > 0.3).astype(float)
    matrix_UI[:, 8] = 0
    return dataset_of(vectors, matrix_UI, ("same", "same", *map(str, range(2, 9))), item_ids=ids(9))


def by_hand(dataset, ridge_lambda, ease_lambda):
    """EASE with the prior, column by column, as its definition says."""
    vectors, matrix_UI = dataset.vectors_ID[:8].astype(float), dataset.interactions.matrix_UI.toarray()[:, :8]
    metric = np.linalg.inv(vectors.T @ vectors + ridge_lambda * np.eye(4))
    prior = np.zeros((8, 8))
    for j in range(8):
        leverage = vectors[j] @ metric @ vectors[j]
        prior[:, j] = vectors @ metric @ vectors[j] / (1 - leverage)
        prior[j, j] = 0
    predicted = matrix_UI @ prior
    scale = (matrix_UI * predicted).sum() / (predicted**2).sum()
    weights = np.zeros((8, 8))
    for j in range(8):
        others = np.delete(np.arange(8), j)
        left = matrix_UI[:, others].T @ matrix_UI[:, others] + ease_lambda * np.eye(7)
        right = matrix_UI[:, others].T @ matrix_UI[:, j] + ease_lambda * scale * prior[others, j]
        weights[others, j] = np.linalg.solve(left, right)
    return matrix_UI, weights, scale, vectors @ metric @ vectors.T


def learned(dataset, params, ridge_lambda=2.0):
    return co_occurrence(replace(dataset, ridge_lambda=ridge_lambda), params.max_weighted_items, 0.2)


def test_unseen_known_items_are_scored_as_ease_with_the_ridge_for_its_prior(small, fusion_params):
    matrix_UI, weights, scale, ridge_scores = by_hand(small, 2.0, 5.0)
    together = learned(small, fusion_params)
    ranker = balanced(item_weights(together, 5.0, 100), together, 1.0, 1.5)
    assert together.scale == pytest.approx(scale, rel=1e-3)
    assert ranker.factor_T.tolist() == pytest.approx([1 / 1.5] * 8) and ranker.n_items == 8
    items = ranker.over(small.item_ids)
    assert items.place_I[8] == -1 and sorted(items.place_I[:8]) == list(range(8))
    scored = items.score(matrix_UI @ ridge_scores, small.interactions.matrix_UI, np.arange(8))
    unseen = matrix_UI == 0
    np.testing.assert_allclose(scored[unseen], (matrix_UI @ weights)[unseen] / (scale * 1.5), atol=1e-3)


def test_an_item_without_interactions_keeps_its_score_whatever_its_text(small, fusion_params):
    together = learned(small, fusion_params)
    ranker = balanced(item_weights(together, 5.0, 100), together, 0.7, 3.0)
    items, histories = ranker.over([*small.item_ids, "new"]), small.interactions.matrix_UI
    histories = csr_array(hstack([histories, csr_array((30, 1))]))
    scores = items.score(np.ones((30, 3)), histories, np.array([9, 8, 0]))
    assert (scores[:, :2] == 1).all() and (scores[:, 2] != 1).all()


def test_only_the_largest_weights_are_kept_and_only_between_the_items_with_most_interactions(
    dataset, fusion_params
):
    params = fusion_params.model_copy(update={"max_weighted_items": 50})
    together = learned(dataset, params)
    whole, few = (item_weights(together, 10.0, kept).weights_TT.toarray() for kept in (1000, 7))
    assert (np.count_nonzero(few, axis=0) <= 7).all() and np.count_nonzero(few) > 6 * 50
    kept = few != 0
    np.testing.assert_array_equal(few[kept], whole[kept])
    smallest = np.where(kept, np.abs(whole), np.inf).min(axis=0)
    assert (np.abs(np.where(kept, 0, whole)).max(axis=0) <= smallest).all()
    n_users_I = dataset.interactions.matrix_UI.sum(axis=0)
    is_inside = np.isin(item_weights(together, 10.0, 7).over(dataset.item_ids).place_I, together.inside)
    assert is_inside.sum() == 50 and len(together.digests_T) == 120
    assert n_users_I[is_inside].min() >= n_users_I[~is_inside].max()


def test_the_harder_the_pull_the_less_is_added_to_what_profiles_say(small, fusion_params):
    together = learned(small, fusion_params)
    left_out = together.ridge_SS / (1 - np.diag(together.ridge_SS)) - together.ridge_SS
    np.fill_diagonal(left_out, 0)  # what remains: the score as though nobody had met the item
    added = [
        np.abs(item_weights(together, one, 100).weights_TT.toarray() - left_out).max()
        for one in (1.0, 1e2, 1e4, 1e6)
    ]
    assert added == sorted(added, reverse=True) and added[-1] < 1e-3 < added[0]


def test_the_head_is_lowered_by_one_factor_where_it_has_weights(dataset, fusion_params):
    together = learned(dataset, fusion_params.model_copy(update={"max_weighted_items": 20}))
    plain = item_weights(together, 10.0, 100)
    ranker = balanced(plain, together, 0.5, 2.0)
    n_users_I = dataset.interactions.n_users_I
    head = np.argsort(-n_users_I, kind="stable")[: round(0.2 * 120)]
    items = ranker.over(dataset.item_ids)
    lowered = np.flatnonzero(ranker.factor_T[items.place_I] == 0.25)
    inside = np.flatnonzero(np.isin(items.place_I, together.inside))
    assert len(lowered) == 20 and set(lowered) == set(head) & set(inside)
    assert (np.delete(ranker.factor_T[items.place_I], lowered) == 0.5).all()
    np.testing.assert_allclose(
        ranker.weights_TT.toarray(), plain.weights_TT.toarray() * ranker.factor_T, rtol=1e-5, atol=1e-9
    )
    assert (plain.factor_T == 1).all()


def popular_world():
    """Half of the clicks fall on ten items that everybody likes; the others follow tastes that the vectors tell."""
    rng = np.random.default_rng(2)
    taste = np.arange(120) % 6
    vectors = (np.eye(6)[taste] + 0.2 * rng.normal(size=(120, 6))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = np.zeros((90, 120))
    for user in range(90):
        matrix_UI[user, rng.choice(10, 7, replace=False)] = 1
        matrix_UI[user, rng.choice(np.flatnonzero(taste == user % 6), 7, replace=False)] = 1
    return dataset_of(vectors, matrix_UI, ids(120), item_ids=ids(120))


def weigh(dataset, recipe, params, tail=ANY_LOSS):
    return choose_item_weights(dataset, HELD, recipe, params, FIRST_LIGHT, (1.0, 0.0), 5, 500, tail)


def test_weights_that_cost_the_tail_too_much_are_refused(fusion_params):
    world = popular_world()
    params = fusion_params.model_copy(update={"head_factors": (1.0,), "ease_lambdas": (30.0,)})
    strict, loose = (weigh(world, PLAIN, params, replace(ANY_LOSS, max_loss=loss)) for loss in (0.0, 1.0))
    assert loose.ease_lambda == 30.0 and loose.lists["tail"] < loose.lists["tail by profiles alone"]
    assert strict.ease_lambda is None
    assert strict.lists["tail"] == loose.lists["tail by profiles alone"]
    assert strict.lists["tail untrained"] == loose.lists["tail untrained"]


def test_a_lowered_head_keeps_the_tail_where_weights_alone_would_be_refused(fusion_params):
    params = fusion_params.model_copy(update={"head_factors": (1.0, 0.5), "ease_lambdas": (30.0,)})
    strict, loose = (
        weigh(popular_world(), PLAIN, params, replace(ANY_LOSS, max_loss=loss)) for loss in (0.3, 1.0)
    )
    assert (strict.ease_lambda, strict.head_factor, loose.head_factor) == (30.0, 0.5, 1.0)
    assert strict.lists["tail"] > loose.lists["tail"] and strict.lists["warm"] < loose.lists["warm"]


def test_one_item_has_nothing_to_be_weighed_against(fusion_params):
    dataset = dataset_of(
        np.ones((2, 1), np.float32), np.array([[1.0, 0], [1, 0]]), ("a", "b"), item_ids=ids(2)
    )
    assert learned(dataset, fusion_params) is None


def test_where_histories_hold_what_profiles_tell_apart_there_are_no_weights(fusion_params):
    vectors = np.array([[1, 0], [-1, 0]] * 4, np.float32)  # everybody meets pairs of opposites
    matrix_UI = np.kron(np.eye(4), np.ones((3, 2)))
    assert learned(dataset_of(vectors, matrix_UI, ids(8), item_ids=ids(8)), fusion_params) is None


def test_item_weights_are_chosen_where_clicks_tell_what_texts_do_not(secretive, fusion_params):
    narrow = fusion_params.model_copy(update={"width": 2})  # else unique words tell every item apart
    recipe = weigh(secretive, PLAIN, narrow)
    assert recipe.ease_lambda in narrow.ease_lambdas and recipe.lift in narrow.lifts
    assert recipe.lists["warm"] > 1.5 * recipe.lists["warm by profiles alone"]
    head = learn_head(secretive, recipe, narrow)
    profiles = head.profiles(secretive.texts, secretive.vectors_ID)
    settings = recipe.item_weights(narrow)
    profiled = replace(
        secretive,
        vectors_ID=profiles,
        ridge_lambda=recipe.lambda_of(head),
        lexical_width=head.lexical_width,
    )
    ranker = ItemWeights.learn(profiled, settings)
    assert ranker.factor_T.max() == pytest.approx(1 / recipe.lift) and len(ranker.digests_T) == 120


def test_a_lift_that_spoils_mixed_lists_is_refused_with_its_weights(dataset, fusion_params):
    params = fusion_params.model_copy(update={"ease_lambdas": (1e6,), "lifts": (1e-4,)})
    recipe = weigh(dataset, PLAIN, params)
    assert recipe.ease_lambda is None and recipe.lift == 1
    assert recipe.lists["mixed"] == recipe.lists["mixed by profiles alone"]
    assert recipe.item_weights(params) is None


def test_the_choice_is_among_all_that_was_tried(dataset, fusion_params):
    base = choose_recipe(dataset, (HELD,), fusion_params, LAMBDAS, 5, 500)
    recipe = weigh(dataset, base, fusion_params)
    assert set(recipe.tried) - set(base.tried) == {
        "no item weights",
        *(f"item weights {one}, head factor 1, lift 1" for one in (3, 30)),
        *(
            f"item weights {recipe.ease_lambda:g}, head factor {factor}, lift {lift}"
            for factor in (1, 0.7) for lift in (1, 2)
        ),
    }  # fmt: skip
    assert (recipe.lexical_share, recipe.metric_power, recipe.ridge_lambda, recipe.ndcg) == (
        base.lexical_share, base.metric_power, base.ridge_lambda, base.ndcg,
    )  # fmt: skip


def test_nothing_is_chosen_that_was_not_offered(secretive, fusion_params):
    params = fusion_params.model_copy(update={"width": 2, "head_factors": (0.8,), "lifts": (2.0,)})
    recipe = weigh(secretive, PLAIN, params)
    assert (recipe.head_factor, recipe.lift) == (0.8, 2.0)
    assert set(recipe.tried) == {
        "no item weights",
        f"item weights {recipe.ease_lambda:g}, head factor 0.8, lift 2",
    }


@pytest.mark.parametrize("ease_lambdas", [(), (3.0,)])
def test_without_a_head_or_lambdas_there_are_no_item_weights(dataset, fusion_params, ease_lambdas):
    params = fusion_params.model_copy(update={"ease_lambdas": ease_lambdas})
    plain = Recipe(None if ease_lambdas else 0.3, 0.0, 1.0, None, {})
    assert weigh(dataset, plain, params) == plain


def test_without_users_to_judge_by_there_are_none(fusion_params):
    matrix_UI = csr_array(np.eye(6))  # everybody met one item: no click can be held out
    dataset = dataset_of(np.eye(6, dtype=np.float32), matrix_UI, ids(6), item_ids=ids(6))
    assert (
        choose_item_weights(
            dataset, np.array([1, 4]), PLAIN, fusion_params, FIRST_LIGHT, (1.0, 0.0), 5, 500, ANY_LOSS
        )
        == PLAIN
    )
