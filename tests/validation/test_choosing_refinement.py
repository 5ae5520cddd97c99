"""Heads are refined where that surely helps on held-out items: a constant coordinate, likes that are alike."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.features.views import SparseView
from recsys.heads.learning import learn_head
from recsys.validation.choosing import choose_recipe
from recsys.validation.sets import hold_out_items
from tests.dataset.make import with_matrix
from tests.heads.world import FIRST_LIGHT
from tests.validation.test_choosing import HELD, LAMBDAS, metrics_of_lists

STRANGE = HELD[::2]
"""Held-out items that nobody likes, and whose texts resemble no other."""


@pytest.fixture(scope="module")
def params(fusion_params):
    return fusion_params.model_copy(update={"constants": (1.0, 2.0), "words_weights": (0.0,)})


@pytest.fixture(scope="module")
def strange(dataset):
    """Half of the held-out items have words of their own, and vectors that are hardly like any other."""
    texts, vectors = list(dataset.texts), dataset.vectors_ID.copy()
    rng = np.random.default_rng(2)
    for row in STRANGE:
        texts[row] = f"odd{row} queer{row}"
        vectors[row] = -np.abs(rng.normal(size=8)) * (np.arange(8) < 2) + rng.normal(scale=0.3, size=8)
        vectors[row] /= np.linalg.norm(vectors[row])
    matrix_UI = dataset.interactions.matrix_UI.toarray()
    matrix_UI[:, STRANGE] = 0
    return with_matrix(replace(dataset, texts=tuple(texts), vectors_ID=vectors), matrix_UI)


def chosen(dataset, params):
    return choose_recipe(dataset, (HELD,), params, LAMBDAS, 5, 500)


def test_items_that_resemble_no_other_are_not_stretched_to_the_length_of_the_rest(strange, params):
    # .05 hardly differs from none. With 1, which is level with 2, the choice differs by processor.
    none, some = (params.model_copy(update={"constants": one}) for one in ((), (0.05, 2.0)))
    without, found = chosen(strange, none), chosen(strange, some)
    assert without.constant == 0 and found.constant == 2.0
    assert found.ndcg > without.ndcg + 0.01
    assert "constant 2" in found.sentence
    head = learn_head(strange, found, params)
    assert head.constant > 0 and head.lexical_width == 1 and head.dim <= params.width
    profiles = head.profiles(strange.texts, strange.vectors_ID)
    likely = np.setdiff1d(HELD, STRANGE)
    assert profiles[STRANGE, 0].min() > profiles[likely, 0].max()
    # Nearly nothing but the constant, they are near nobody: what searches for items leaves it out.
    nearness = profiles[:, 1:] @ profiles[:, 1:].T
    assert nearness[np.ix_(likely, STRANGE)].max() < nearness[np.ix_(likely, strange.warm)].max(axis=1).min()


def test_a_constant_that_does_not_surely_help_is_tried_and_not_taken(dataset, params):
    without, found = (chosen(dataset, one) for one in (params.model_copy(update={"constants": ()}), params))
    assert any("constant 1" in name for name in found.tried)
    assert found.constant == 0 and replace(found, tried=without.tried) == without


def test_a_head_with_a_constant_makes_the_lists_that_it_was_chosen_by(strange, params):
    found = chosen(strange, params)
    validation = hold_out_items(strange, HELD, params.seed, 500)
    head = learn_head(validation.dataset, found, params)
    ndcg, _ = metrics_of_lists(validation, head, found, 5).mean(axis=0)
    assert ndcg == pytest.approx(found.ndcg, abs=1e-6)


def test_a_refined_head_does_not_replace_a_better_one_with_separate_words(strange, params):
    apart = params.model_copy(update={"words_weights": (0.0, 3.0)})
    without, found = (chosen(strange, one) for one in (apart.model_copy(update={"constants": ()}), apart))
    refined = {name: ndcg for name, ndcg in found.tried.items() if "constant" in name}
    assert without.words_weight == 3 and without.ndcg > max(refined.values())
    assert (found.words_weight, found.constant, found.ndcg) == (3, 0, without.ndcg)


@pytest.fixture(scope="module")
def lopsided(dataset):
    """Each user likes ten items of one series and one of another, and the held-out items of both are as good."""
    rng, series = np.random.default_rng(4), np.arange(120) % 10
    matrix_UI = np.zeros((80, 120))
    for user in range(80):
        often, seldom = (np.flatnonzero(series == one % 10) for one in (user, user + 3))
        warm_often, warm_seldom = (np.setdiff1d(some, HELD) for some in (often, seldom))
        matrix_UI[user, rng.choice(warm_often, min(7, len(warm_often)), replace=False)] = 1
        matrix_UI[user, rng.choice(warm_seldom, 1)] = 1
        matrix_UI[user, np.intersect1d(HELD, seldom)] = 1
    return with_matrix(dataset, matrix_UI)


def test_one_like_beside_many_of_a_kind_counts_more_where_that_finds_what_users_like(lopsided, fusion_params):
    some = fusion_params.model_copy(update={"words_weights": (0.0,), "alike_powers": (1.0,)})
    without, found = (chosen(lopsided, one) for one in (some.model_copy(update={"alike_powers": ()}), some))
    assert without.alike == 0 and found.alike == 1.0 and found.ndcg > without.ndcg + 0.01
    assert "alike" in found.sentence
    validation = hold_out_items(lopsided, HELD, some.seed, 500)
    head = learn_head(validation.dataset, found, some)
    ndcg, _ = metrics_of_lists(validation, head, found, 5).mean(axis=0)
    assert ndcg == pytest.approx(found.ndcg, abs=1e-6)


def test_a_constant_does_not_make_likes_alike(lopsided, fusion_params):
    """Both together give the lists that validation judged, since it leaves the constant out as well."""
    both = fusion_params.model_copy(
        update={"words_weights": (0.0,), "constants": (1.0,), "alike_powers": (1.0,), "standard_errors": 0.0}
    )
    found = choose_recipe(lopsided, (HELD,), both, (3.0,), 5, 500)
    [name] = [one for one in found.tried if "constant 1" in one and "alike 1" in one]
    refined = replace(found, constant=1.0, alike=1.0)
    validation = hold_out_items(lopsided, HELD, both.seed, 500)
    ndcg, _ = metrics_of_lists(validation, learn_head(validation.dataset, refined, both), refined, 5).mean(
        axis=0
    )
    assert ndcg == pytest.approx(found.tried[name], abs=1e-6)


@pytest.fixture(scope="module")
def narrow(fusion_params):
    """A head of three directions cannot tell ten series apart, so first light is taken."""
    return fusion_params.model_copy(update={"width": 3, "words_weights": (0.0,), "alike_powers": (1.0,)})


def with_series(dataset, seed, wrong):
    """With a view that names the series, of some items a wrong one."""
    rng = np.random.default_rng(seed)
    things = np.where(rng.random(120) < wrong, rng.integers(0, 10, 120), np.arange(120) % 10)
    view = SparseView(tuple("0123456789"), csr_array(np.eye(10, dtype=np.float32)[things]))
    return replace(dataset, views={"series": view})


@pytest.mark.parametrize("has_view", [False, True])
def test_first_light_is_refined_too_with_the_views_that_it_joins(lopsided, narrow, has_view):
    dataset = with_series(lopsided, 1, 0.05) if has_view else lopsided
    without, found = (
        choose_recipe(dataset, (HELD,), one, LAMBDAS, 5, 500, first_light=FIRST_LIGHT)
        for one in (narrow.model_copy(update={"alike_powers": ()}), narrow)
    )
    assert without.first_light == found.first_light == FIRST_LIGHT
    assert without.alike == 0 and found.alike == 1.0 and found.ndcg > without.ndcg + 0.002
    assert found.view_weights == dict.fromkeys(dataset.views, 1.0) and "alike" in found.sentence
    validation = hold_out_items(dataset, HELD, narrow.seed, 500)
    head = learn_head(validation.dataset, found, narrow)
    ndcg, _ = metrics_of_lists(validation, head, found, 5).mean(axis=0)
    assert ndcg == pytest.approx(found.ndcg, abs=1e-6)


def test_a_refinement_that_harms_beside_a_view_is_taken_back(lopsided, narrow):
    """Texts do not name the series, a view does; by the texts alone another refinement was chosen."""
    vectors = np.random.default_rng(9).normal(size=(120, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = tuple(f"volume number{row} odd{row}" for row in range(120))
    blind = replace(lopsided, texts=texts, vectors_ID=vectors)
    alone, found = (
        choose_recipe(one, (HELD,), narrow, LAMBDAS, 5, 500, first_light=FIRST_LIGHT)
        for one in (blind, with_series(blind, 6, 0.2))
    )
    assert alone.alike == 1.0 and found.first_light and found.view_weights == {"series": 1.0}
    assert found.alike == 0.0
    kept = max(ndcg for name, ndcg in found.tried.items() if "series" in name and "alike" in name)
    assert found.ndcg > kept + 0.02


def test_first_light_that_is_not_surely_better_refined_stays_plain(dataset, narrow):
    without, found = (
        choose_recipe(dataset, (HELD,), one, LAMBDAS, 5, 500, first_light=FIRST_LIGHT)
        for one in (narrow.model_copy(update={"alike_powers": some}) for some in ((), (0.01,)))
    )
    assert any(name.startswith("first light") and "alike" in name for name in found.tried)
    assert found.first_light and found.alike == 0 and found.ndcg == without.ndcg
