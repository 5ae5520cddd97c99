from dataclasses import replace

import numpy as np
import pytest

from recsys.heads.learning import learn_head
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.validation.choosing import choose_recipe
from recsys.validation.sampling import whole_users
from tests.dataset.make import with_matrix

HELD = np.arange(3, 120, 4)
LAMBDAS = (0.3, 1.0, 3.0)


def chosen(dataset, params, held=HELD):
    return choose_recipe(dataset, (held,), params, LAMBDAS, 5, 500)


def test_where_words_carry_the_taste_a_head_is_chosen_and_beats_the_encoder_alone(dataset, fusion_params):
    recipe = chosen(dataset, fusion_params)
    alone = max(ndcg for name, ndcg in recipe.tried.items() if name.startswith("encoder alone"))
    assert recipe.lexical_share == 0.3
    assert recipe.ndcg > 0.95 * max(recipe.tried.values()) > 1.5 * alone


def test_nothing_about_the_held_items_but_their_text_is_learned(dataset, fusion_params):
    matrix_UI = dataset.interactions.matrix_UI.toarray()
    matrix_UI[:, HELD] = 0
    blind = with_matrix(dataset, matrix_UI)
    head = learn_head(blind, Recipe(0.3, 0.75, 1.0, None, {}), fusion_params)
    other = matrix_UI.copy()
    other[:, HELD] = np.random.default_rng(5).random((60, len(HELD))) < 0.2
    tried = choose_recipe(
        with_matrix(dataset, other),
        (HELD,),
        fusion_params,
        LAMBDAS,
        5,
        500,
    )
    assert tried.ndcg < 0.6 * chosen(dataset, fusion_params).ndcg  # asked for noise, it finds noise
    assert len(head.vectors_ML) == 90


def test_items_of_one_series_come_together(dataset, fusion_params):
    head = learn_head(dataset, Recipe(0.3, 0.75, 1.0, None, {}), fusion_params)
    profiles = head.profiles(dataset.texts, dataset.vectors_ID)
    np.testing.assert_allclose(np.linalg.norm(profiles, axis=1), 1, rtol=1e-5)
    alike = profiles @ profiles.T
    series = np.arange(120) % 10
    same = (series[:, None] == series) & ~np.eye(120, dtype=bool)
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_the_same_data_and_seed_give_the_same_head(dataset, fusion_params):
    recipe = Recipe(0.3, 0.75, 1.0, None, {})
    one, other = (learn_head(dataset, recipe, fusion_params) for _ in range(2))
    np.testing.assert_array_equal(one.projection_MD, other.projection_MD)


def test_only_the_items_with_most_interactions_become_landmarks(dataset, fusion_params):
    few = fusion_params.model_copy(update={"max_landmarks": 20})
    head = learn_head(dataset, Recipe(0.3, 0.75, 1.0, None, {}), few)
    most = np.sort(np.argsort(-np.asarray(dataset.interactions.matrix_UI.sum(axis=0)), kind="stable")[:20])
    np.testing.assert_array_equal(head.vectors_ML, dataset.vectors_ID[most])


@pytest.mark.parametrize(("wide_up_to", "width"), [(120, 24), (119, 12)])
def test_a_head_of_few_items_has_up_to_twice_as_many_directions(dataset, fusion_params, wide_up_to, width):
    params = fusion_params.model_copy(update={"wide_up_to": wide_up_to}).for_items(len(dataset.item_ids))
    recipe = Recipe(0.3, 0.75, 1.0, None, {})
    assert learn_head(dataset, recipe, params).dim == width
    assert params.for_items(1) == params  # never twice
    split = learn_head(dataset, replace(recipe, words_weight=1.0), params)  # the dimensions for words stay
    assert split.dim == width and split.lexical_width == fusion_params.words_width


def test_how_much_separate_words_count_is_measured_on_a_part_with_the_lambda_of_its_items(
    dataset, fusion_params
):
    """A part with half of the items: its λ is half, so the words' share of the length is about the same."""
    recipe = Recipe(0.3, 0.75, 4.0, None, {}, words_weight=1.0)
    part, _ = whole_users(dataset, (), 60, seed=0)
    assert len(part.warm) < 0.6 * len(dataset.warm)
    whole, same, by_part = (learn_head(dataset, recipe, fusion_params, one) for one in (None, dataset, part))
    assert same.words.share == whole.words.share
    assert by_part.words.share != whole.words.share
    assert by_part.words.share == pytest.approx(whole.words.share, rel=0.2)
    np.testing.assert_array_equal(
        by_part.projection_MD, whole.projection_MD
    )  # directions are learned from all


@pytest.mark.parametrize("users", [[], [0]])
def test_without_users_to_judge_by_the_encoder_stays_alone(dataset, fusion_params, users):
    matrix_UI = np.zeros((60, 120))
    matrix_UI[users, 3] = 1  # a held item, and nothing beside
    recipe = chosen(with_matrix(dataset, matrix_UI), fusion_params)
    assert recipe.lexical_share is None and recipe.ndcg is None and recipe.ridge_lambda == 1.0


def test_width_zero_tries_no_head(dataset, fusion_params):
    recipe = chosen(dataset, fusion_params.model_copy(update={"width": 0}))
    assert recipe.lexical_share is None
    assert all(name.startswith(("encoder alone", "plain blend")) for name in recipe.tried)


def test_several_folds_are_averaged(dataset, fusion_params):
    other = np.arange(1, 120, 4)
    one, two = (chosen(dataset, fusion_params, held).tried for held in (HELD, other))
    both = choose_recipe(dataset, (HELD, other), fusion_params, LAMBDAS, 5, 500).tried
    for name, ndcg in both.items():
        assert ndcg == pytest.approx((one[name] + two[name]) / 2, abs=2e-6)


def test_data_without_words_keeps_the_encoder_alone(dataset, fusion_params):
    recipe = chosen(replace(dataset, texts=("★",) * 120), fusion_params)
    assert recipe.lexical_share is None and recipe.ndcg == recipe.alone


@pytest.mark.parametrize("wrong", [{"lexical_shares": (1.0,)}, {"metric_powers": (-0.5,)}])
def test_shares_and_powers_out_of_range_are_refused(fusion_params, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FusionParams.model_validate(fusion_params.model_dump() | wrong)
