"""Event heads learn what is there to learn: hand-made pairs, correction for sampling, calibration, bad input."""

from dataclasses import replace

import numpy as np
import pytest

from recsys.ranking.event_examples import Examples, joined
from recsys.ranking.event_heads import CLICK
from recsys.ranking.event_training import learn_event_heads
from recsys.ranking.params import RankerParams
from recsys.ranking.platt import platt
from recsys.ranking.shortlist import FEATURES

PARAMS = RankerParams(
    sets=(),
    numbers=(),
    kinds=("mlp",),
    depth=100,
    negatives=0,
    width=0,
    hidden=(16, 8),
    text_weight=0.1,
    purchase_events=("purchase",),
    purchase_weight=0.0,
    learning_rate=0.01,
    weight_decay=0.01,
    batch=256,
    epochs=20,
    patience=3,
    held_out=0.3,
    standard_errors=2.0,
    max_loss_cold=0.01,
    seed=0,
)
N_USERS, N_ITEMS = 80, 120


def examples_of(seed=0, purchases=True, values=True) -> Examples:
    """Clicks follow the first feature, purchases of clicked pairs the second, values the third."""
    rng = np.random.default_rng(seed)
    user_E, item_E = (one.ravel() for one in np.mgrid[:N_USERS, :N_ITEMS])
    features_EF = rng.normal(size=(len(user_E), len(FEATURES))).astype(np.float32)
    clicked_E = rng.random(len(user_E)) < 1 / (1 + np.exp(2 - 2 * features_EF[:, 0]))
    bought_E = clicked_E & (rng.random(len(user_E)) < 1 / (1 + np.exp(-2 * features_EF[:, 1])))
    value_E = np.where(clicked_E, 300 + 50 * features_EF[:, 2], np.nan).astype(np.float32)
    vectors_ID = rng.normal(size=(N_ITEMS, 5)).astype(np.float32)
    return Examples(
        features_EF,
        rng.normal(size=(N_USERS, 5)).astype(np.float32),
        np.arange(N_USERS),
        vectors_ID,
        user_E.astype(np.int64),
        item_E.astype(np.int64),
        clicked_E,
        bought_E if purchases else None,
        value_E if values else None,
        np.zeros(len(user_E), np.float32),
    )


def predicted(examples, params=PARAMS, on=None):
    heads, _ = learn_event_heads(examples, params)
    on = on or examples
    return heads.predict_from(on.features_EF, on.tastes_UD[on.user_E], on.vectors_ID[on.item_E])


@pytest.fixture(scope="module")
def examples():
    return examples_of()


def test_each_head_finds_the_feature_that_decides_its_event(examples):
    fresh = examples_of(seed=1)
    found = predicted(examples, on=fresh)
    truth = 1 / (1 + np.exp(2 - 2 * fresh.features_EF[:, 0]))
    assert np.abs(found.click_C - truth).mean() < 0.05
    assert found.click_C.mean() == pytest.approx(truth.mean(), rel=0.05)
    clicked = fresh.clicked_E  # of pairs that are never clicked, nobody knows whether they would be bought
    truth = 1 / (1 + np.exp(-2 * fresh.features_EF[clicked, 1]))
    assert np.abs(found.purchase_C[clicked] - truth).mean() < 0.1
    assert np.abs(found.value_C - 300 - 50 * fresh.features_EF[:, 2]).mean() < 15


def test_the_same_examples_and_seed_give_the_same_bytes_and_another_seed_others(examples):
    first, again = (learn_event_heads(examples, PARAMS)[0].arrays() for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    other = learn_event_heads(examples, PARAMS.model_copy(update={"seed": 1}))[0].arrays()
    assert first["first_NH"].tobytes() != other["first_NH"].tobytes()


def test_probabilities_hold_for_all_pairs_though_negatives_were_sampled(examples):
    q = 0.2
    kept_E = examples.clicked_E | (np.random.default_rng(3).random(len(examples.clicked_E)) < q)
    sampled = replace(examples, log_q_E=np.full(len(examples.item_E), np.log(q), np.float32)).only(kept_E)
    assert sampled.clicked_E.mean() > 1.5 * examples.clicked_E.mean()
    found = predicted(sampled, on=examples)
    assert found.click_C.mean() == pytest.approx(examples.clicked_E.mean(), rel=0.1)


def test_without_purchases_or_values_their_heads_are_absent():
    found = predicted(examples_of(purchases=False, values=False))
    assert found.purchase_C is None and found.value_C is None and found.click_C.shape == (N_USERS * N_ITEMS,)


@pytest.mark.parametrize("clicked", [True, False], ids=["all clicked", "none clicked"])
def test_with_one_outcome_nothing_is_learned(examples, clicked):
    same = replace(examples, clicked_E=np.full(len(examples.item_E), clicked))
    assert learn_event_heads(same, PARAMS) is None


def test_one_user_alone_teaches_nothing(examples):
    assert learn_event_heads(examples.only(examples.user_E == 3), PARAMS) is None


def test_one_item_alone_is_learned_from_its_users(examples):
    many = replace(
        examples, user_E=np.arange(len(examples.user_E)), row_U=np.arange(len(examples.user_E)),
        tastes_UD=np.zeros((len(examples.user_E), 5), np.float32), item_E=np.zeros_like(examples.item_E),
    )  # fmt: skip
    found = predicted(many)
    assert found.click_C.mean() == pytest.approx(many.clicked_E.mean(), rel=0.1)


def test_all_purchases_equal_leaves_that_head_out(examples):
    none = replace(examples, purchased_E=np.zeros(len(examples.item_E), bool))
    assert predicted(none).purchase_C is None


def test_profiles_are_read_where_a_width_is_given(examples):
    """Clicks follow the inner product of taste and item: no feature tells it, the projected product does."""
    rng = np.random.default_rng(5)
    sides_U, sides_I = rng.choice([-1, 1], N_USERS), rng.choice([-1, 1], N_ITEMS)
    taste = np.zeros((N_USERS, 5), np.float32)
    item = np.zeros((N_ITEMS, 5), np.float32)
    taste[:, 0], item[:, 0] = sides_U, sides_I
    clicked = rng.random(len(examples.item_E)) < np.where(
        sides_U[examples.user_E] == sides_I[examples.item_E], 0.6, 0.1
    )
    known = replace(
        examples, tastes_UD=taste, vectors_ID=item, clicked_E=clicked, purchased_E=None, value_E=None
    )
    found = predicted(known, PARAMS.model_copy(update={"width": 2}))
    agree = sides_U[known.user_E] == sides_I[known.item_E]
    assert found.click_C[agree].mean() == pytest.approx(0.6, abs=0.06)
    assert found.click_C[~agree].mean() == pytest.approx(0.1, abs=0.06)


def test_moving_to_the_space_of_another_head_keeps_what_profiles_say(examples):
    rng = np.random.default_rng(2)
    turned, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    onto = (examples.vectors_ID @ turned).astype(np.float32)
    moved = examples.moved(np.arange(N_ITEMS), onto)
    np.testing.assert_allclose(moved.vectors_ID, onto, atol=0.02)
    np.testing.assert_allclose(moved.tastes_UD, examples.tastes_UD @ turned, atol=0.02)


def test_joined_examples_keep_their_users_apart(examples):
    both = joined([examples, examples.only(examples.user_E < 10)])
    assert len(both.row_U) == 2 * N_USERS and len(both.item_E) == (N_USERS + 10) * N_ITEMS
    np.testing.assert_array_equal(both.row_U[both.user_E[-N_ITEMS * 10 :]], np.repeat(np.arange(10), N_ITEMS))


def test_platt_finds_the_curve_that_made_the_outcomes_and_always_rises():
    rng = np.random.default_rng(0)
    score = rng.normal(size=20_000)
    outcome = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * score - 1)))
    a, b = platt(score, outcome, np.ones(20_000))
    assert a == pytest.approx(0.5, abs=0.05) and b == pytest.approx(-1, abs=0.05)
    a, _ = platt(score, score < 0, np.ones(20_000))
    assert a > 0
    assert platt(score, np.ones(20_000, bool), np.ones(20_000)) == (1.0, 0.0)


def test_heads_that_were_learned_from_all_pairs_need_little_calibration(examples):
    heads, _ = learn_event_heads(examples, PARAMS)
    assert heads.calibration_E2[CLICK, 0] == pytest.approx(1, abs=0.4)
