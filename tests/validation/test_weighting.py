"""How much feedback counts is chosen on held-out items, and stays yes or no where nothing else is better."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.catalogue.params import WeightingParams
from recsys.catalogue.weighting import YES_OR_NO, Scale, Weighting
from recsys.heads.recipe import Recipe
from recsys.settings import Settings
from recsys.validation.weighting import choose_weighting
from tests.dataset.make import dataset_of, interactions_of
from tests.stages.judged_world import ROOT

PARAMS = WeightingParams(
    value_weights=(0.3, 0.6, 0.9),
    dislike_weights=(0.25, 0.5),
    repeat_weights=(),
    half_lives_days=(),
    event_weights=(),
    standard_errors=1.0,
    max_loss=0.001,
)
ALONE = Recipe(None, 0.0, 1.0, None, {})
SCALES = {"rating": Scale(values=(1, 2), strengths=(0.5, 1.5))}
HELD = np.arange(0, 120, 5)


@pytest.fixture(scope="module")
def starred():
    """Users rate items of six topics: high those of two, low those of two more, where they also look around."""
    rng = np.random.default_rng(0)
    topic = np.arange(120) % 6
    vectors = np.eye(6)[topic] + rng.normal(scale=0.3, size=(120, 6))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    matrix, values = np.zeros((90, 120)), np.zeros((90, 120))
    for user in range(90):
        for n, (liked, value) in enumerate([(user, 1.7), (user + 1, 1.7), (user + 2, 0.3), (user + 3, 0.3)]):
            rows = rng.choice(np.flatnonzero(topic == liked % 6), 8 - n, replace=False)
            matrix[user, rows], values[user, rows] = 1, value
    return dataset_of(vectors, matrix, item_ids=[f"i{n}" for n in range(120)]), values


def choose(dataset, params=PARAMS, recipe=ALONE):
    fusion = Settings.load(ROOT / "params.yaml").fusion
    return choose_weighting(dataset, (HELD, HELD + 1), recipe, params, fusion, SCALES, k=10, max_users=500)


def with_strengths(dataset, values):
    matrix_UI = dataset.interactions.matrix_UI
    users = np.repeat(np.arange(matrix_UI.shape[0]), np.diff(matrix_UI.indptr))
    strengths = values[users, matrix_UI.indices]
    return replace(dataset, interactions=replace(dataset.interactions, strengths_P=strengths))


def test_values_that_tell_tastes_count(starred):
    dataset, values = starred
    found = choose(with_strengths(dataset, values))
    assert found.weighting.value > 0 and found.weighting.scales == SCALES
    assert found.tried[found.weighting.name] > found.tried[YES_OR_NO.name]


def test_values_that_tell_nothing_do_not(starred):
    dataset, values = starred
    rng = np.random.default_rng(1)
    shuffled = np.where(values > 0, rng.choice([0.3, 1.7], values.shape), 0)
    found = choose(with_strengths(dataset, shuffled))
    assert found.weighting == YES_OR_NO and len(found.tried) == 4


def test_without_values_nothing_is_tried(starred):
    assert choose(starred[0]).tried == {} and choose(starred[0]).weighting == YES_OR_NO


def test_alike_likes_count_less_in_every_weighting_where_the_recipe_says_so(starred):
    dataset, values = starred
    recipe = replace(ALONE, alike=1.0)
    found = choose(with_strengths(dataset, values), recipe=recipe)
    assert found.weighting.alike == 1.0 and found.weighting.value > 0
    assert all("alike likes less by 1" in name for name in found.tried)
    plain = choose(with_strengths(dataset, values)).tried
    assert not set(found.tried.values()) & set(plain.values())  # they were judged so
    assert choose(dataset, recipe=recipe).weighting == Weighting(**YES_OR_NO.model_dump() | {"alike": 1.0})


def test_dislikes_count_where_they_tell_tastes():
    """Items have a genre, which tells nothing, and a tone; users like few items of one tone and dislike the other's."""
    rng = np.random.default_rng(0)
    genre, tone = rng.integers(0, 6, 120), rng.integers(0, 3, 120)
    vectors = np.hstack([np.eye(6)[genre], np.eye(3)[tone]]) + rng.normal(scale=0.2, size=(120, 9))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    likes, disliked = np.zeros((90, 120)), np.zeros((90, 120))
    for user in range(90):
        likes[user, rng.choice(np.flatnonzero(tone == user % 3), 5, replace=False)] = 1
        disliked[user, rng.choice(np.flatnonzero(tone != user % 3), 8, replace=False)] = 1
    dataset = dataset_of(vectors, likes, item_ids=[f"i{n}" for n in range(120)])

    def choose_with(dislikes_UI):
        dislikes = interactions_of(dislikes_UI, dataset.item_ids)
        known = replace(dataset.interactions, dislikes=dislikes)
        return choose(replace(dataset, interactions=known))

    found = choose_with(disliked)
    assert found.weighting.dislike > 0 and found.weighting.value == 0
    assert set(found.tried) == {"yes or no", "dislikes 0.25", "dislikes 0.5"}
    assert choose_with(likes).weighting == YES_OR_NO


def with_events(dataset, values):
    """Strong likes are purchases, weak ones views."""
    users = np.repeat(
        np.arange(dataset.interactions.matrix_UI.shape[0]), np.diff(dataset.interactions.matrix_UI.indptr)
    )
    is_strong = values[users, dataset.interactions.matrix_UI.indices] > 1
    interactions = replace(
        dataset.interactions,
        events_P=is_strong.astype(np.int64) + 1,
        event_sets=(None, "view", "purchase"),
    )
    return replace(dataset, interactions=interactions)


RIGHT, WRONG = {"View": 0.2, "purchase": 2.0}, {"view": 2.0, "purchase": 0.2}


def only_purchases_are_asked(dataset, values):
    """Held-out views are left out, so that lists are judged by purchases."""
    interactions = dataset.interactions
    is_view_P = interactions.events_P == 1
    is_asked_I = np.isin(np.arange(values.shape[1]), np.concatenate([HELD, HELD + 1]))
    kept_P = ~(is_view_P & is_asked_I[interactions.matrix_UI.indices])
    return replace(dataset, interactions=interactions.only_pairs(kept_P))


def test_events_that_tell_tastes_count_by_the_better_of_two_weights(starred):
    dataset, values = starred
    told = only_purchases_are_asked(with_events(dataset, values), values)
    found = choose(told, PARAMS.model_copy(update={"event_weights": (WRONG, RIGHT)}))
    assert found.weighting.events == {"view": 0.2, "purchase": 2.0}
    assert found.weighting.name == "events purchase 2 view 0.2"
    worse = choose(told, PARAMS.model_copy(update={"event_weights": (WRONG,)}))
    assert worse.weighting == YES_OR_NO and len(worse.tried) == 2


def test_weights_that_tell_no_like_from_another_are_not_tried(starred):
    dataset, values = starred
    told = with_events(dataset, values)
    for weights in ({"share": 3.0}, {}):
        assert choose(told, PARAMS.model_copy(update={"event_weights": (weights,)})).tried == {}
    assert choose(dataset, PARAMS.model_copy(update={"event_weights": (RIGHT,)})).tried == {}
