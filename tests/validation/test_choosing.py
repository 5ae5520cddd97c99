from dataclasses import replace

import numpy as np
import pytest

from recsys.catalogue.weighting import Weighting
from recsys.heads.learning import learn_head
from recsys.heads.recipe import Recipe
from recsys.ranking.dot import ridge_users
from recsys.ranking.tasks import rank
from recsys.validation.bounds import lower_bound
from recsys.validation.choices import Choice
from recsys.validation.choosing import choose_recipe, surest
from recsys.validation.sets import COLD, LONG, hold_out_items, metrics_per_user
from recsys.validation.trying import try_all, try_first_light
from tests.dataset.make import dataset_of, with_matrix
from tests.heads.world import FIRST_LIGHT, WORDS

HELD = np.arange(3, 120, 4)
LAMBDAS = (0.3, 1.0, 3.0)
RIDGES = tuple((one, weight) for one in LAMBDAS for weight in (0.0, 1.0))
ALONE, BLEND = Choice(None, None, 0.0, 1.0), Choice(None, None, 1.0, 1.0)
LIGHT = Choice(None, None, 0.0, 1.0, is_first_light=True)
NEWEST = np.arange(120, 160)
HEAD, APART, UNTAUGHT = Choice(0.2, 0.5, 0.0, 1.0), Choice(0.2, 0.5, 1.0, 1.0), Choice(0.0, None, 1.0, 1.0)


def figures(*means, noise=0.0, recall=0.5, n_users=100):
    """One fold for each mean; users differ by `noise`, the same in every choice."""
    rng = np.random.default_rng(0)
    drawn = [rng.normal(0, noise, n_users) for _ in means]
    return [
        np.stack([mean + one_U - one_U.mean(), np.full(n_users, recall)], axis=1)
        for mean, one_U in zip(means, drawn, strict=True)
    ]


def test_a_bound_is_the_mean_less_the_users_standard_errors():
    differences = np.array([0.1, 0.3, 0.2, 0.2])
    error = differences.std(ddof=1) / 2
    assert lower_bound([differences], 0.0) == pytest.approx(0.2)
    assert lower_bound([differences], 2.0) == pytest.approx(0.2 - 2 * error)


def test_folds_that_contradict_each_other_make_a_gain_unsure():
    same, other = np.full(1000, 0.2), np.full(1000, -0.1)
    assert lower_bound([same, same], 1.0) == pytest.approx(0.2)
    # means .2 and -.1: their mean .05, its standard error .15
    assert lower_bound([same, other], 1.0) == pytest.approx(0.05 - 0.15)


def test_one_user_is_sure_of_nothing():
    assert lower_bound([np.array([1.0])], 1.0) == -np.inf


def test_the_best_mean_is_not_taken_where_its_gain_is_unsure():
    tried = {
        ALONE: figures(0.20, 0.20),
        BLEND: figures(0.24, 0.24),
        HEAD: figures(0.40, 0.21),
        APART: figures(0.26, 0.25),
    }
    assert surest(tried, 1.0) == APART
    assert surest(tried, 0.0) == HEAD  # by the mean


def test_no_head_is_taken_that_is_not_surely_better_than_the_encoder_alone():
    tried = {
        ALONE: figures(0.2),
        BLEND: figures(0.1),
        HEAD: figures(0.2, recall=0.9),
        APART: figures(0.19, recall=0.9),
    }
    assert surest(tried, 1.0) == ALONE


def test_a_head_that_beats_the_blend_goes_before_one_with_longer_lists_that_does_not():
    tried = {ALONE: figures(0.2), BLEND: figures(0.25), HEAD: figures(0.24, recall=0.9), APART: figures(0.26)}
    assert surest(tried, 1.0) == APART


def test_where_none_surely_beats_the_blend_what_comes_nearest_to_it_is_taken():
    tried = {ALONE: figures(0.2), BLEND: figures(0.25), HEAD: figures(0.22), UNTAUGHT: figures(0.245)}
    assert surest(tried, 1.0) == UNTAUGHT


def test_first_light_stays_where_the_trained_heads_that_are_sure_have_lower_means():
    tried = {ALONE: figures(0.2, 0.2), BLEND: figures(0.21, 0.21), LIGHT: figures(0.25, 0.25)}
    tried |= {HEAD: figures(0.5, 0.1), APART: figures(0.24, 0.25)}
    assert surest(tried, 1.0) == LIGHT  # the mean of HEAD is higher, but not surely above the encoder alone
    tried[APART] = figures(0.25, 0.26)
    assert surest(tried, 1.0) == APART


def test_long_lists_count_beside_short_ones_against_first_light_too():
    tried = {ALONE: figures(0.2), BLEND: figures(0.2), LIGHT: figures(0.25, recall=0.5)}
    assert surest(tried | {HEAD: figures(0.24, recall=0.505)}, 1.0) == LIGHT
    assert surest(tried | {HEAD: figures(0.24, recall=0.52)}, 1.0) == HEAD


def test_first_light_that_is_not_surely_better_than_the_encoder_alone_is_no_hurdle():
    tried = {ALONE: figures(0.2, 0.2), BLEND: figures(0.1, 0.1), LIGHT: figures(0.4, 0.01)}
    assert surest(tried, 1.0) == ALONE
    assert surest(tried | {HEAD: figures(0.21, 0.21)}, 1.0) == HEAD


@pytest.fixture(scope="module")
def moved():
    """Ten series whose newest items are liked by half of the tastes of before: users have two, then one."""
    rng, series = np.random.default_rng(0), np.arange(160) % 10
    vectors = np.eye(8)[series % 2] + rng.normal(scale=0.5, size=(160, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    texts = tuple(f"{WORDS[one]} volume number{place}" for place, one in enumerate(series))
    matrix_UI = np.zeros((120, 160))
    for user in range(120):
        for liked, n in ((user % 10, 8), ((user + 3) % 10, 4)):
            matrix_UI[user, rng.choice(np.flatnonzero(series[:120] == liked), n, replace=False)] = 1
        matrix_UI[user, 120 + rng.choice(np.flatnonzero(series[120:] == user % 10), 3, replace=False)] = 1
    return dataset_of(vectors, matrix_UI, texts, seed=1)


def test_a_trained_head_does_not_replace_a_first_light_that_is_better(moved, fusion_params):
    narrow = fusion_params.model_copy(update={"width": 3})
    without = choose_recipe(moved, (NEWEST,), narrow, LAMBDAS, 5, 500)
    found = choose_recipe(moved, (NEWEST,), narrow, LAMBDAS, 5, 500, first_light=FIRST_LIGHT)
    assert without.lexical_share is not None and found.first_light == FIRST_LIGHT
    assert found.lexical_share is None and found.has_head
    assert found.ndcg > without.ndcg + 0.02  # .900 and .874
    head = learn_head(moved, found, narrow)
    assert head.mean_D is not None and head.dim <= FIRST_LIGHT.width


def test_a_trained_head_that_is_better_than_first_light_replaces_it(moved, fusion_params):
    found = choose_recipe(moved, (NEWEST,), fusion_params, LAMBDAS, 5, 500, first_light=FIRST_LIGHT)
    assert found.first_light is None and found.lexical_share is not None
    assert found.ndcg > max(value for name, value in found.tried.items() if name.startswith("first light"))


def test_too_few_texts_for_first_light_leave_the_choice_to_the_others(dataset, fusion_params):
    few = FIRST_LIGHT.model_copy(update={"min_items": 100})  # 90 are warm
    found = choose_recipe(dataset, (HELD,), fusion_params, LAMBDAS, 5, 500, first_light=few)
    assert found == choose_recipe(dataset, (HELD,), fusion_params, LAMBDAS, 5, 500)


def metrics_of_lists(validation, head, recipe, k):
    """Of the lists of held-out items that a learned head makes."""
    dataset, task = validation.dataset, validation.tasks[COLD]
    profiled = replace(
        dataset,
        vectors_ID=head.profiles(dataset.texts, dataset.vectors_ID, dataset.views),
        ridge_lambda=recipe.lambda_of(head),
        lexical_width=head.lexical_width,
        prior_weight=recipe.prior_weight,
        weighting=Weighting(alike=recipe.alike),
    )
    ranked = rank(ridge_users(profiled), task.users, task.candidates, LONG * k).rows_UK
    return metrics_per_user(task, ranked, k)


@pytest.mark.parametrize("prior_weight", [0.0, 1.0])
def test_the_head_of_first_light_makes_the_lists_that_it_was_chosen_by(dataset, fusion_params, prior_weight):
    validation = hold_out_items(dataset, HELD, fusion_params.seed, 500)
    _, tried = try_first_light(validation, FIRST_LIGHT, RIDGES, fusion_params, 5)
    recipe = Recipe(None, None, 1.0, None, {}, first_light=FIRST_LIGHT, prior_weight=prior_weight)
    head = learn_head(validation.dataset, recipe, fusion_params)
    found = metrics_of_lists(validation, head, recipe, 5)
    np.testing.assert_allclose(found, tried[replace(LIGHT, prior_weight=prior_weight)], atol=1e-6)


def test_the_encoder_alone_is_judged_as_it_is_released_with_the_prior_of_the_dataset(moved, fusion_params):
    no_head = fusion_params.model_copy(update={"width": 0})
    plain, found = (
        choose_recipe(replace(moved, prior_weight=weight), (NEWEST,), no_head, (1.0,), 5, 500)
        for weight in (0.0, 1.0)
    )
    assert (plain.prior_weight, found.prior_weight) == (
        0,
        1,
    ) and found.sentence == "encoder alone, λ = 1, prior 1"
    assert found.tried["plain blend, λ 1"] == plain.tried["plain blend, λ 1"]
    validation = hold_out_items(replace(moved, prior_weight=1.0, ridge_lambda=1.0), NEWEST, no_head.seed, 500)
    task = validation.tasks[COLD]
    ranked = rank(ridge_users(validation.dataset), task.users, task.candidates, LONG * 5).rows_UK
    assert found.ndcg == pytest.approx(metrics_per_user(task, ranked, 5)[:, 0].mean(), abs=1e-6)
    assert found.ndcg != plain.ndcg


def test_the_blend_is_among_what_is_tried_and_never_chosen(dataset, fusion_params):
    recipe = choose_recipe(dataset, (HELD,), fusion_params, LAMBDAS, 5, 500)
    assert recipe.tried["plain blend, λ 1"] > 2 * recipe.tried["encoder alone, λ 1"]
    assert "words 0, untaught, words apart 1, λ 1" in recipe.tried
    assert recipe.lexical_share is not None


@pytest.mark.parametrize("choice", [(0.3, 0.75, 1.0, 1.0, 1.0), (0.0, None, 1.0, 3.0), (0.3, 0.0, 0.0, 1.0)])
def test_a_packed_head_makes_the_lists_that_it_was_chosen_by(dataset, fusion_params, choice):
    choice, k = Choice(*choice), 5
    validation = hold_out_items(dataset, HELD, fusion_params.seed, 500)
    tried = dict(try_all(validation, fusion_params, RIDGES, LAMBDAS, k, lambda _: None))
    recipe = Recipe(
        choice.lexical_share,
        choice.metric_power,
        choice.ridge_lambda,
        None,
        {},
        words_weight=choice.words_weight,
        prior_weight=choice.prior_weight,
    )
    head = learn_head(validation.dataset, recipe, fusion_params)
    assert head.lexical_width == (6 if choice.words_weight else 0) and head.dim <= fusion_params.width
    found = metrics_of_lists(validation, head, recipe, k).mean(axis=0)
    np.testing.assert_allclose(found, tried[choice].mean(axis=0), atol=0.01)


@pytest.mark.parametrize(("width", "apart"), [(12, 6), (8, 4), (4, 2), (3, 0), (0, 0)])
def test_words_apart_take_half_of_the_width_at_most(fusion_params, width, apart):
    params = fusion_params.model_copy(update={"width": width})
    assert (params.apart_width, params.meaning_width) == (apart, width - apart)
    assert params.model_copy(update={"words_weights": (0.0,)}).apart_width == 0


def test_a_fold_whose_landmarks_have_no_word_leaves_heads_untried(dataset, fusion_params):
    """Heads that only some folds could try cannot be compared: the encoder alone is taken, and nothing fails."""
    texts = tuple("!" if row not in HELD else text for row, text in enumerate(dataset.texts))
    wordy = replace(dataset, texts=texts)
    others = np.setdiff1d(np.arange(120), HELD)[::3]  # their landmarks still have the words of HELD
    found = choose_recipe(wordy, (others, HELD), fusion_params, LAMBDAS, 10, 500)
    assert found.lexical_share is None
    assert set(found.tried) == {
        f"{name}, λ {one:g}" for name in ("encoder alone", "plain blend") for one in LAMBDAS
    }
    assert any(
        "words" in name for name in choose_recipe(wordy, (others,), fusion_params, LAMBDAS, 10, 500).tried
    )


def test_a_width_too_narrow_for_words_apart_tries_none(dataset, fusion_params):
    recipe = choose_recipe(dataset, (HELD,), fusion_params.model_copy(update={"width": 3}), LAMBDAS, 5, 500)
    assert recipe.words_weight == 0 and not any("apart" in name for name in recipe.tried)


def test_what_is_held_out_teaches_nothing_to_any_choice(dataset, fusion_params):
    one = hold_out_items(dataset, HELD, fusion_params.seed, 500)
    matrix_UI = dataset.interactions.matrix_UI.toarray()
    matrix_UI[:, HELD] = matrix_UI[::-1, HELD]
    other = hold_out_items(with_matrix(dataset, matrix_UI), HELD, fusion_params.seed, 500)
    assert (one.dataset.interactions.matrix_UI != other.dataset.interactions.matrix_UI).nnz == 0


@pytest.mark.parametrize(("k", "counts"), [(1, True), (2, False)])
def test_recall_counts_where_long_lists_hold_few_of_the_candidates(
    dataset, fusion_params, monkeypatch, k, counts
):
    calls = []
    monkeypatch.setattr(
        "recsys.validation.choosing.surest", lambda tried, _: calls.append(tried) or surest(tried, 1.0)
    )
    choose_recipe(dataset, (HELD,), fusion_params, LAMBDAS, k, 500)  # 30 held out: lists of 5, or of 10
    assert all((figures[0][:, 1] > 0).any() == counts for figures in calls[0].values())
