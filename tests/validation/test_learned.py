"""A learned ranker is taken where held-out lists are better by it, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.heads.recipe import Recipe
from recsys.ranking.event_examples import Events
from recsys.ranking.head_and_tail import TailRule
from recsys.ranking.mlp import Mlp
from recsys.settings import Settings
from recsys.validation import learned
from recsys.validation.learned import choose_learned_ranker, learn_stacked_heads
from tests.conftest import ROOT
from tests.dataset.make import dataset_of

SETTINGS = Settings.load(ROOT / "params.yaml")
RANKER = SETTINGS.ranker.model_copy(
    update={
        "kinds": ("mlp",),
        "depth": 100,
        "hidden": (8, 4),
        "epochs": 6,
        "learning_rate": 0.01,
        "max_loss_cold": 0.05,
    }
)
N_USERS, N_ITEMS = 150, 120
HELD = np.arange(0, N_ITEMS, 6)


@pytest.fixture(scope="module")
def dataset():
    """Users have one of two tastes; popularity beyond taste follows a word that items have, which no profile weighs."""
    rng = np.random.default_rng(0)
    taste_I, quality_I = np.arange(N_ITEMS) % 2, rng.random(N_ITEMS)
    vectors = np.eye(4)[taste_I] + rng.normal(scale=0.3, size=(N_ITEMS, 4))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    fits = np.arange(N_USERS)[:, None] % 2 == taste_I
    matrix = rng.random((N_USERS, N_ITEMS)) < np.where(fits, 0.45, 0.05) * (0.2 + 1.6 * quality_I)
    texts = [f"{'sea' if one else 'land'} story {n % 7}" for n, one in enumerate(taste_I)]
    return dataset_of(vectors, matrix, texts=texts, ridge_lambda=3.0, seed=1)


@pytest.fixture(scope="module")
def recipe():
    return Recipe(0.3, 0.25, 3.0, 0.1, {})


ANY_LOSS = TailRule(0.2, 1.0, 100, 0)


def chosen(dataset, recipe, ranker=RANKER, events=None, tail=ANY_LOSS):
    fusion = SETTINGS.fusion.model_copy(update={"width": 16, "words_width": 8, "items_per_factor": 10})
    return choose_learned_ranker(
        dataset, dataset, HELD, recipe, fusion, ranker, SETTINGS.first_light, (1.0, 0.0), 5, 200, tail, events
    )


def test_popularity_that_profiles_do_not_know_makes_it_better_and_it_is_taken(dataset, recipe):
    found = chosen(dataset, recipe)
    assert found.reason.startswith("mlp is taken"), found.reason
    assert found.reason.endswith("learned from sampled candidates, since no impressions are known")
    assert found.lists["warm by mlp"] > found.lists["warm by item weights"]
    mlp = Mlp.learn(dataset, found.settings)
    assert mlp is not None and mlp.depth == 100 and mlp.heads.is_learned_E.tolist() == [True, False, False]


def test_a_rule_that_it_cannot_meet_leaves_item_weights(dataset, recipe):
    strict = RANKER.model_copy(update={"standard_errors": 1000.0})
    found = chosen(dataset, recipe, strict)
    assert found.settings is None and found.reason.startswith("item weights stay") and found.lists


def test_it_is_not_taken_where_the_gate_may_refuse_it_for_the_tail(dataset, recipe):
    found = chosen(dataset, recipe, tail=replace(ANY_LOSS, max_loss=0.0))
    assert found.settings is None and "the tail may not pass the gate" in found.reason, found.reason
    assert found.lists == chosen(dataset, recipe).lists


def test_nothing_is_tried_by_default(dataset, recipe):
    found = chosen(dataset, recipe, SETTINGS.ranker)
    assert SETTINGS.ranker.kinds == () and found.settings is None and not found.reason and not found.lists


def test_purchases_are_learned_where_they_are_known(dataset, recipe):
    bought = dataset.interactions.matrix_UI.copy()
    bought.data[np.random.default_rng(0).random(bought.nnz) < 0.5] = 0
    bought.eliminate_zeros()
    found = chosen(dataset, recipe, events=Events(purchases_UI=bought))
    assert found.settings is not None and found.settings.heads.is_learned_E.tolist() == [True, True, False]


def test_impressions_stand_instead_of_sampled_candidates_and_without_clicks_nothing_is_learned(
    dataset, recipe
):
    liked = dataset.interactions.matrix_UI.toarray() > 0
    shown = liked | (np.random.default_rng(2).random(liked.shape) < 0.4)
    heads = stacked_heads(dataset, recipe, Events(shown_UI=csr_array(shown.astype(float))))
    assert heads is not None
    assert stacked_heads(dataset, recipe, Events(shown_UI=csr_array((~liked).astype(float)))) is None


def stacked_heads(dataset, recipe, events):
    fusion = SETTINGS.fusion.model_copy(update={"width": 16, "words_width": 8, "items_per_factor": 10})
    return learn_stacked_heads(dataset, dataset, recipe, fusion, RANKER, 200, events)


def test_what_is_held_out_to_judge_by_is_no_impression_without_a_click(dataset, recipe, monkeypatch):
    """Everybody was shown what they clicked, and a few things more."""
    clicked = dataset.interactions.matrix_UI.toarray() > 0
    shown = clicked | (np.random.default_rng(7).random(clicked.shape) < 0.1)
    calls = []

    def watched(known, onto, *others):
        calls.append((known.interactions.matrix_UI.toarray() > 0, others[-1].shown_UI.toarray() > 0))
        return learn_stacked_heads(known, onto, *others)

    monkeypatch.setattr(learned, "learn_stacked_heads", watched)
    chosen(dataset, recipe, events=Events(shown_UI=csr_array(shown.astype(float))))
    known, seen = calls[0]
    assert (clicked & ~known).any() and not (seen & clicked & ~known).any()
    np.testing.assert_array_equal(seen & ~clicked, shown & ~clicked)
    assert (seen & known).sum() == known.sum()


def test_with_too_few_users_item_weights_stay_and_it_says_so(dataset, recipe):
    few = replace(
        dataset,
        interactions=dataset_of(
            dataset.vectors_ID, dataset.interactions.matrix_UI[:4].toarray(), ridge_lambda=3.0
        ).interactions,
    )
    found = chosen(few, recipe)
    assert found.settings is None and "too few interactions" in found.reason


def test_again_gives_the_same_heads(dataset, recipe):
    first, again = (chosen(dataset, recipe).settings.heads.arrays() for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
