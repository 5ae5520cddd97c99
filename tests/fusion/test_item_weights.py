import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.fusion.choosing import choose_item_weights, choose_recipe
from recsys.fusion.exams import Shop
from recsys.fusion.heads import Recipe, learn_head
from recsys.fusion.item_weights import item_weights, learn_item_weights, met_together
from recsys.ranking.item_weights import hashes

HELD = np.arange(3, 120, 4)
LAMBDAS = (0.3, 1.0, 3.0)
PLAIN = Recipe(0.3, 0.0, 1.0, None, {})


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
    return Shop(tuple(f"thing number{place}" for place in range(120)), vectors, csr_array(met))


@pytest.fixture(scope="module")
def small():
    """Nine items, two of one text, the last never met."""
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(9, 4)).astype(np.float32)
    vectors[1] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likes = rng.normal(size=(30, 4)) @ vectors.T + rng.normal(size=(30, 9)) / 2
    met = (likes > 0.3).astype(float)
    met[:, 8] = 0
    return Shop(("same", "same", *map(str, range(2, 9))), vectors, csr_array(met))


def by_hand(shop, ridge_lambda, ease_lambda):
    """Scores of seven texts for each user: EASE with the prior, column by column, as its definition says."""
    vectors, met = shop.vectors_IL[:8].astype(float), shop.histories_UI.toarray()[:, :8]
    texts = np.delete(vectors, 1, axis=0)
    together = np.concatenate([np.maximum(met[:, :1], met[:, 1:2]), met[:, 2:]], axis=1)
    metric = np.linalg.inv(vectors.T @ vectors + ridge_lambda * np.eye(4))
    prior = np.zeros((7, 7))
    for j in range(7):
        leverage = texts[j] @ metric @ texts[j]
        prior[:, j] = texts @ metric @ texts[j] / (1 - leverage)
        prior[j, j] = 0
    predicted = together @ prior
    scale = (together * predicted).sum() / (predicted**2).sum()
    weights = np.zeros((7, 7))
    for j in range(7):
        others = np.delete(np.arange(7), j)
        left = together[:, others].T @ together[:, others] + ease_lambda * np.eye(6)
        right = together[:, others].T @ together[:, j] + ease_lambda * scale * prior[others, j]
        weights[others, j] = np.linalg.solve(left, right)
    return together, weights, scale, texts @ metric @ texts.T


def test_unseen_known_texts_are_scored_as_ease_with_the_ridge_for_its_prior(small, fusion_params):
    together, weights, scale, ridge_scores = by_hand(small, 2.0, 5.0)
    found = met_together(small, small.warm, small.vectors_IL[small.warm], 2.0, fusion_params)
    ranker = item_weights(found, 5.0, 1.5, 100)
    assert found.scale == pytest.approx(scale, rel=1e-3) and ranker.factor == pytest.approx(1 / 1.5)
    items = np.array([0, 2, 3, 4, 5, 6, 7])
    place = ranker.places(hashes(small.texts))
    assert place[0] == place[1] and place[8] == -1
    met = ranker.met(small.histories_UI, place)
    scored = ranker.corrected(together @ ridge_scores, met, place[items])
    unseen = together == 0
    np.testing.assert_allclose(scored[unseen], (together @ weights)[unseen] / (scale * 1.5), atol=1e-3)


def test_a_text_that_nobody_met_keeps_its_score(small, fusion_params):
    found = met_together(small, small.warm, small.vectors_IL[small.warm], 2.0, fusion_params)
    ranker = item_weights(found, 5.0, 3.0, 100)
    place = ranker.places(hashes(["new", small.texts[8], "same"]))
    scores = ranker.corrected(
        np.ones((30, 3)), ranker.met(small.histories_UI, ranker.places(hashes(small.texts))), place
    )
    assert (scores[:, :2] == 1).all() and (scores[:, 2] != 1).all()


def test_only_the_largest_weights_are_kept_and_only_between_the_items_met_most(shop, fusion_params):
    params = fusion_params.model_copy(update={"max_weighted_items": 50})
    found = met_together(shop, shop.warm, shop.vectors_IL, 1.0, params)
    whole, few = (item_weights(found, 10.0, 1.0, kept).weights_TT.toarray() for kept in (1000, 7))
    assert (np.count_nonzero(few, axis=0) <= 7).all() and np.count_nonzero(few) > 6 * 50
    kept = few != 0
    np.testing.assert_array_equal(few[kept], whole[kept])
    smallest = np.where(kept, np.abs(whole), np.inf).min(axis=0)
    assert (np.abs(np.where(kept, 0, whole)).max(axis=0) <= smallest).all()
    n_met = shop.histories_UI.sum(axis=0)
    inside = found.inside[np.argsort(found.digests_T[found.inside])]
    assert len(inside) == 50 and len(found.digests_T) == 120
    place = item_weights(found, 10.0, 1.0, 7).places(hashes(shop.texts))
    assert n_met[np.isin(place, inside)].min() >= n_met[~np.isin(place, inside)].max()


def test_the_harder_the_pull_the_less_is_added_to_what_profiles_say(small, fusion_params):
    found = met_together(small, small.warm, small.vectors_IL[small.warm], 2.0, fusion_params)
    left_out = (
        found.ridge_SS / (1 - np.diag(found.ridge_SS)) - found.ridge_SS
    )  # as though nobody had met the item
    np.fill_diagonal(left_out, 0)
    added = [
        np.abs(item_weights(found, one, 1.0, 100).weights_TT.toarray() - left_out).max()
        for one in (1.0, 1e2, 1e4, 1e6)
    ]
    assert added == sorted(added, reverse=True) and added[-1] < 1e-3 < added[0]


def test_one_text_has_nothing_to_be_weighed_against(fusion_params):
    shop = Shop(("a", "a"), np.ones((2, 1), np.float32), csr_array(np.ones((3, 2))))
    assert met_together(shop, shop.warm, shop.vectors_IL, 1.0, fusion_params) is None


def test_item_weights_are_chosen_where_clicks_tell_what_texts_do_not(secretive, fusion_params):
    narrow = fusion_params.model_copy(update={"width": 2})  # else unique words tell every item apart
    recipe = choose_item_weights(secretive, HELD, PLAIN, narrow, 5, 500)
    assert recipe.ease_lambda in narrow.ease_lambdas and recipe.lift in narrow.lifts
    assert recipe.lists["warm"] > 1.5 * recipe.lists["warm by profiles alone"]
    profiles = learn_head(secretive, recipe, narrow).profiles(secretive.texts, secretive.vectors_IL)
    ranker = learn_item_weights(secretive, profiles, recipe, narrow)
    assert ranker.factor == 1 / recipe.lift and len(ranker.digests_T) == 120


def test_none_are_chosen_where_profiles_know_all_that_clicks_tell(fusion_params):
    """Who met what is drawn by chance, one click each: there is nothing to learn from it."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(80, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tastes = rng.normal(size=(300, 4))
    met = np.zeros((300, 80))
    np.put_along_axis(met, np.argsort(-(tastes @ vectors.T), axis=1)[:, :3], 1, axis=1)
    shop = Shop(tuple(f"thing{place}" for place in range(80)), vectors, csr_array(met))
    params = fusion_params.model_copy(update={"ease_lambdas": (1e-3,), "lifts": (0.01,)})
    recipe = choose_item_weights(shop, np.arange(0, 80, 5), PLAIN, params, 5, 500)
    assert recipe.ease_lambda is None and recipe.lift == 1
    profiles = np.zeros((80, 4), np.float32)
    assert learn_item_weights(shop, profiles, recipe, params) is None


def test_the_choice_is_among_all_that_was_tried(shop, fusion_params):
    base = choose_recipe(shop, (HELD,), fusion_params, LAMBDAS, 5, 500)
    recipe = choose_item_weights(shop, HELD, base, fusion_params, 5, 500)
    assert set(recipe.tried) - set(base.tried) == {
        "no item weights", *(f"item weights {one}, lift {lift}" for one in (3, 30) for lift in (1, 2)),
    }  # fmt: skip
    assert (recipe.lexical_share, recipe.metric_power, recipe.ridge_lambda, recipe.ndcg) == (
        base.lexical_share, base.metric_power, base.ridge_lambda, base.ndcg,
    )  # fmt: skip


@pytest.mark.parametrize("ease_lambdas", [(), (3.0,)])
def test_without_a_head_or_lambdas_there_are_no_item_weights(shop, fusion_params, ease_lambdas):
    params = fusion_params.model_copy(update={"ease_lambdas": ease_lambdas})
    plain = Recipe(None if ease_lambdas else 0.3, 0.0, 1.0, None, {})
    assert choose_item_weights(shop, HELD, plain, params, 5, 500) == plain
