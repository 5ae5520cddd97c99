from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.features.views import SparseView
from recsys.heads.learning import learn_head
from recsys.ranking.dot import ridge_users
from recsys.ranking.tasks import rank
from recsys.validation.choices import Choice, Extras
from recsys.validation.choosing import best_with_views, choose_recipe, kernels_of, surest
from recsys.validation.choosing_views import choose_views
from recsys.validation.comparing import gain_by_users
from recsys.validation.sets import COLD, LONG, hold_out_items, metrics_per_user
from tests.heads.world import FIRST_LIGHT

HELD, LAMBDAS = np.arange(3, 120, 4), (0.3, 1.0, 3.0)


def figures(*means, noise=0.05, n_users=200):
    """One fold for each mean; the difference of two choices differs between users by `noise`."""
    rng = np.random.default_rng(round(1000 * sum(means)))
    return [np.stack([mean + rng.normal(0, noise, n_users), np.zeros(n_users)], axis=1) for mean in means]


def trial_of(means, tried):
    """Heads whose mean is given for their views; what was tried is kept."""

    def trial(wanted):
        tried.extend(wanted)
        return {Choice(0.2, 0.5, 0.0, 1.0, views=views): figures(*means[views]) for views in wanted}

    return trial


def test_the_best_view_is_taken_first_and_another_only_if_it_helps_once_more():
    tried, base = [], figures(0.2, 0.2)
    means = {
        (("image", 1.0),): (0.26, 0.26),
        (("relations", 1.0),): (0.30, 0.30),
        (("image", 1.0), ("relations", 1.0)): (0.301, 0.301),
    }
    names = ["image", "relations"]
    assert choose_views(names, [1.0], base, trial_of(means, tried), 2.0) == (("relations", 1.0),)
    assert tried == list(means)
    means[("image", 1.0), ("relations", 1.0)] = (0.34, 0.34)
    assert choose_views(names, [1.0], base, trial_of(means, []), 2.0) == (("image", 1.0), ("relations", 1.0))


def test_a_view_that_does_not_surely_help_is_not_tried_beside_others():
    tried = []
    means = {(("image", 1.0),): (0.201, 0.2), (("relations", 1.0),): (0.3, 0.3)}
    found = choose_views(["image", "relations"], [1.0], figures(0.2, 0.2), trial_of(means, tried), 2.0)
    assert found == (("relations", 1.0),) and len(tried) == 2


def test_a_view_that_no_fold_could_try_is_left_out():
    assert choose_views(["image"], [1.0], figures(0.2), lambda _: {}, 2.0) == ()


def test_of_several_weights_the_one_with_the_surest_gain_is_taken():
    means = {(("image", weight),): (mean,) for weight, mean in ((0.5, 0.25), (1.0, 0.3), (2.0, 0.28))}
    found = choose_views(["image"], [0.5, 1.0, 2.0], figures(0.2), trial_of(means, []), 2.0)
    assert found == (("image", 1.0),)


def test_folds_that_gain_differently_leave_no_doubt_unless_one_surely_loses():
    base = figures(0.2, 0.2)
    assert gain_by_users(figures(0.3, 0.2), base, 2.0) > 0
    assert gain_by_users(figures(0.4, 0.15), base, 2.0) == -np.inf
    assert gain_by_users([one[:1] for one in base], [one[:1] for one in base], 2.0) == -np.inf


@pytest.fixture(scope="module")
def blind(dataset):
    """Texts that do not name their series."""
    return replace(dataset, texts=tuple(f"volume number{place}" for place in range(120)))


def view_of(things):
    return SparseView(
        tuple(f"thing {place}" for place in range(10)), csr_array(np.eye(10, dtype=np.float32)[things])
    )


def chosen(some, params, first_light=None):
    return choose_recipe(some, (HELD,), params, LAMBDAS, 5, 500, first_light=first_light)


def test_heads_that_share_a_kernel_try_it_once():
    """The head that is surest and the one with the best ndcg may differ in λ alone. Views were then never taken."""
    heads = [Choice(0.2, 0.25, 0, 3.0), Choice(0.2, 0.25, 0, 100.0), Choice(0.0, None, 1.0, 3.0)]
    assert kernels_of(heads) == [(0.0, False), (0.2, True)]


def test_a_view_that_names_the_series_is_chosen_and_one_of_noise_is_not(blind, fusion_params):
    noise = view_of(np.random.default_rng(3).integers(0, 10, 120))
    views = {"noise": noise, "relations": view_of(np.arange(120) % 10)}
    without, found = chosen(blind, fusion_params), chosen(replace(blind, views=views), fusion_params)
    assert found.view_weights == {"relations": 1.0}
    assert found.ndcg > without.ndcg + 0.2
    assert "relations with weight 1" in found.sentence
    assert without.tried.items() <= found.tried.items()  # what is tried without views stays what it was


def test_a_view_of_noise_leaves_the_choice_as_it_was(dataset, fusion_params):
    noise = view_of(np.random.default_rng(3).integers(0, 10, 120))
    without = chosen(dataset, fusion_params)
    found = chosen(replace(dataset, views={"noise": noise}), fusion_params)
    assert replace(found, tried={}) == replace(without, tried={}) and found.view_weights == {}


POSTER = (("poster", 1.0),)
ALONE, BLEND = Choice(None, None, 0.0, 1.0), Choice(None, None, 1.0, 1.0)
LIGHT = Choice(None, None, 0.0, 1.0, is_first_light=True)
LIGHT_WITH_POSTER = replace(LIGHT, views=POSTER)
HEAD_1, HEAD_3 = (Choice(0.2, 0.5, 0.0, ridge_lambda) for ridge_lambda in (1.0, 3.0))


def tried_with(light_with_poster, **heads):
    """ndcg of eight users in one fold, or in several; recall does not differ between heads and first light."""

    def figures(ndcg, recall=0.5):
        folds = ndcg if isinstance(ndcg, list) else [ndcg]
        return [np.stack(np.broadcast_arrays(one, np.full(8, recall)), axis=1) for one in folds]

    n = len(heads["head_1"]) if isinstance(heads["head_1"], list) else 1
    floors = {ALONE: figures([0.10] * n, 0.3), BLEND: figures([0.11] * n, 0.3), LIGHT: figures([0.20] * n)}
    return floors | {
        LIGHT_WITH_POSTER: figures(light_with_poster),
        HEAD_1: figures(heads["head_1"]),
        HEAD_3: figures(heads["head_3"]),
    }


def test_a_view_that_helps_first_light_alone_does_not_change_which_trained_head_is_taken():
    """With the view first light is a floor that head 3 surely exceeds and head 1 does not; neither beats head 1."""
    noise_U = np.resize([0.02, -0.02], 8)
    tried = tried_with(0.224 + noise_U, head_1=0.22, head_3=0.225 + noise_U)
    plain = {one: figures for one, figures in tried.items() if not one.views}
    assert surest(plain, 2.0) == HEAD_1
    assert surest({one: figures for one, figures in tried.items() if one != LIGHT}, 2.0) == HEAD_3
    assert best_with_views(tried, HEAD_1, Extras(views=POSTER), Extras(), 2.0) == HEAD_1
    del tried[HEAD_3]
    assert best_with_views(tried, HEAD_1, Extras(views=POSTER), Extras(), 2.0) == HEAD_1
    tried[LIGHT_WITH_POSTER][0][:, 0] += 0.02
    assert best_with_views(tried, HEAD_1, Extras(views=POSTER), Extras(), 2.0) == LIGHT_WITH_POSTER


def test_a_head_that_first_light_with_its_view_surely_beats_is_not_kept():
    """Head 3 is better than both, but its folds differ, so without the view head 1 is the surer one."""
    tried = tried_with([0.24, 0.24], head_1=[0.22, 0.22], head_3=[0.25, 0.32])
    plain = {one: figures for one, figures in tried.items() if not one.views}
    assert surest(plain, 2.0) == HEAD_1
    assert best_with_views(tried, HEAD_1, Extras(views=POSTER), Extras(), 2.0) == HEAD_3
    weak = tried_with([0.19, 0.19], head_1=[0.22, 0.22], head_3=[0.25, 0.32])
    assert best_with_views(weak, HEAD_1, Extras(views=POSTER), Extras(), 2.0) == HEAD_1
    assert best_with_views(tried, HEAD_1, Extras(), Extras(), 2.0) == HEAD_1


def test_of_heads_and_first_light_with_their_views_the_better_is_taken():
    tried = tried_with(0.22, head_1=0.21, head_3=0.20)
    joined, some = replace(HEAD_1, views=POSTER), Extras(views=POSTER)
    for ndcg, taken in ((0.24, joined), (0.215, LIGHT_WITH_POSTER)):
        figures = [np.full((8, 2), (ndcg, 0.5))]
        assert best_with_views(tried | {joined: figures}, HEAD_1, some, some, 2.0) == taken


def test_without_weights_above_zero_no_view_is_tried(blind, fusion_params):
    some = replace(blind, views={"relations": view_of(np.arange(120) % 10)})
    params = fusion_params.model_copy(update={"view_weights": (0.0,)})
    assert chosen(some, params) == chosen(blind, params)


def test_a_view_of_held_out_items_alone_cannot_be_learned_from(blind, fusion_params):
    rows = np.zeros((120, 2), np.float32)
    rows[HELD, 0] = 1
    some = replace(blind, views={"relations": SparseView(("a", "b"), csr_array(rows))})
    assert chosen(some, fusion_params) == chosen(blind, fusion_params)


def test_first_light_reads_a_view_that_helps_and_no_other(blind, fusion_params):
    """A head of three directions cannot tell ten series apart, so first light is taken."""
    noise = view_of(np.random.default_rng(3).integers(0, 10, 120))
    views = {"noise": noise, "relations": view_of(np.arange(120) % 10)}
    narrow, some = fusion_params.model_copy(update={"width": 3}), replace(blind, views=views)
    without, found = chosen(blind, narrow, FIRST_LIGHT), chosen(some, narrow, FIRST_LIGHT)
    assert found.first_light == FIRST_LIGHT and found.view_weights == {"relations": 1.0}
    assert found.ndcg > without.ndcg + 0.2
    assert found.sentence.startswith("head of first light, relations with weight 1, λ = ")
    assert without.tried.items() <= found.tried.items()
    assert set(learn_head(some, found, narrow).views) == {"relations"}
    noisy = chosen(replace(blind, views={"noise": noise}), narrow, FIRST_LIGHT)
    assert replace(noisy, tried={}) == replace(without, tried={})


@pytest.mark.parametrize("first_light", [None, FIRST_LIGHT], ids=["trained", "first light"])
def test_the_learned_head_makes_the_lists_that_it_was_chosen_by(blind, fusion_params, first_light):
    some = replace(blind, views={"relations": view_of(np.arange(120) % 10)})
    recipe = chosen(some, fusion_params, first_light)
    assert recipe.view_weights and recipe.first_light == first_light
    validation = hold_out_items(some, HELD, fusion_params.seed, 500)
    head, task = learn_head(validation.dataset, recipe, fusion_params), validation.tasks[COLD]
    profiled = replace(
        validation.dataset,
        vectors_ID=head.profiles(some.texts, some.vectors_ID, some.views),
        ridge_lambda=recipe.lambda_of(head),
        lexical_width=head.lexical_width,
    )
    ranked = rank(ridge_users(profiled), task.users, task.candidates, LONG * 5).rows_UK
    assert metrics_per_user(task, ranked, 5)[:, 0].mean() == pytest.approx(recipe.ndcg, abs=0.01)
