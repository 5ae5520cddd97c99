from dataclasses import replace

import numpy as np
import pytest
import torch

from recsys.training.known import Known
from recsys.training.losses.co_occurrence import co_occurrence_softmax
from recsys.training.plans import inclusion_chances, plan_batch
from tests.training.tastes import make_tastes, params


@pytest.fixture(scope="module")
def training_set():
    return make_tastes()


def known(training_set, **changes):
    vectors = np.random.default_rng(0).normal(size=(len(training_set.item_ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Known(training_set, params(**changes), vectors, 1.0)


def test_an_epoch_visits_every_item_once_and_never_the_validation_slice(training_set):
    plans = known(training_set)
    epoch = np.concatenate([plan_batch(plans, number).rows for number in range(plans.steps_per_epoch)])
    np.testing.assert_array_equal(np.sort(epoch), training_set.fit_rows)
    again = [
        plan_batch(plans, number).rows for number in range(plans.steps_per_epoch, 2 * plans.steps_per_epoch)
    ]
    assert not np.array_equal(epoch[: len(again[0])], again[0])


@pytest.mark.parametrize("objective", ["ridge", "mean", "pairs"])
def test_a_plan_depends_on_its_number_alone(training_set, objective):
    one, other = known(training_set, objective=objective), known(training_set, objective=objective)
    for number in (5, 0, 3):
        plan_batch(one, number)
    a, b = plan_batch(one, 7), plan_batch(other, 7)
    np.testing.assert_array_equal(a.rows, b.rows)
    x = torch.nn.functional.normalize(torch.randn(len(a.rows), 8), dim=1)
    assert float(a.loss(x)) == float(b.loss(x))


def reference_loss(training_set, plans, rows, x, is_negative=lambda theirs, item: True):
    """Loss of the users, in plain loops: each positive against the items of the batch that the user has not met."""
    pairs = training_set.fit_UI.toarray()
    fit = plans.vectors_ID[training_set.fit_rows].astype(np.float64)
    inverse = np.linalg.inv(fit.T @ fit + np.eye(8))
    losses = []
    for user in range(len(training_set.users)):
        theirs = set(np.flatnonzero(pairs[user]))
        outside = theirs - set(rows)
        inside = [place for place, row in enumerate(rows) if row in theirs]
        here = theirs & set(rows)
        rivals = [place for place, row in enumerate(rows) if row not in theirs and is_negative(here, row)]
        if not inside or not outside or not rivals:
            continue
        w = inverse @ plans.vectors_ID[sorted(outside)].astype(np.float64).sum(axis=0)
        scores = x @ (w / np.linalg.norm(w)) / plans.params.temperature
        others = np.exp(scores[rivals]).sum()
        losses.append(np.mean([-scores[p] + np.log(np.exp(scores[p]) + others) for p in inside]))
    assert losses
    return np.mean(losses)


def some_vectors(n, seed=3):
    x = np.random.default_rng(seed).normal(size=(n, 8))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_ridge_loss_is_that_of_a_plain_reference(training_set):
    plans = known(
        training_set, item_side=0.0, logq=0.0, hard_quantile=1.0, co_occurrence_weight=0.0, batch_users=1000
    )
    plan = plan_batch(plans, 0)
    x = some_vectors(len(plan.rows))
    found = plan.loss(torch.from_numpy(x.astype(np.float32)))
    assert float(found) == pytest.approx(reference_loss(training_set, plans, plan.rows, x), rel=1e-3)


def test_what_is_nearer_to_a_positive_than_the_quantile_is_no_negative(training_set):
    plans = known(
        training_set, item_side=0.0, logq=0.0, hard_quantile=0.8, co_occurrence_weight=0.0, batch_users=1000
    )
    plan = plan_batch(plans, 0)
    cosines = plans.vectors_ID.astype(np.float64) @ plans.vectors_ID.T
    limits = np.quantile(cosines[:, training_set.fit_rows], 0.8, axis=1)

    def is_negative(theirs, item):
        return not any(cosines[one, item] > limits[one] for one in theirs)

    x = some_vectors(len(plan.rows))
    masked, unmasked = (
        reference_loss(training_set, plans, plan.rows, x, rule)
        for rule in (is_negative, lambda theirs, item: True)
    )
    assert masked < 0.97 * unmasked, "the limit leaves nothing out: the test would pass without it"
    assert float(plan.loss(torch.from_numpy(x.astype(np.float32)))) == pytest.approx(masked, rel=1e-3)


def test_pairs_rank_both_ways_and_never_against_items_of_the_same_users_history(training_set):
    plans = known(training_set, objective="pairs", item_side=0.5, co_occurrence_weight=0.0, batch_items=32)
    plan = plan_batch(plans, 2)
    x = some_vectors(len(plan.rows))
    there = torch.from_numpy(x.astype(np.float32))
    forth = float(
        plan_batch(replace(plans, params=params(objective="pairs", item_side=0.0, batch_items=32)), 2).loss(
            there
        )
    )
    back = (float(plan.loss(there)) - forth) / 0.5
    assert forth > 0 and back > 0 and abs(forth - back) > 1e-3
    together = known(training_set, objective="pairs", item_side=0.0, co_occurrence_weight=0.7, batch_items=32)
    histories_IU = training_set.fit_IU[plan.rows].toarray()
    both = histories_IU @ histories_IU.T
    n = np.sqrt(both.diagonal())
    shared = torch.from_numpy((both / n[:, None] / n).astype(np.float32))
    extra = 0.7 * float(co_occurrence_softmax(there, shared, together.params.temperature))
    assert float(plan_batch(together, 2).loss(there)) == pytest.approx(forth + extra, rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"popularity_power": 0.5}, {"hard_share": 0.2}, {"hard_quantile": 0.9}],
    ids=lambda one: next(iter(one)),
)
def test_what_pairs_would_pass_over_is_refused_by_name(changes):
    with pytest.raises(
        ValueError, match=f"objective pairs draws pairs of users' items; set {next(iter(changes))}:"
    ):
        params(objective="pairs", **changes)


def test_chances_to_be_drawn_are_those_that_drawing_shows():
    chance = np.array([8.0, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    chance /= chance.sum()
    found, rng = inclusion_chances(chance, 5), np.random.default_rng(0)
    assert found.sum() == pytest.approx(5) and (found < 1).all()
    drawn = np.bincount(
        np.concatenate([rng.choice(15, 5, replace=False, p=chance) for _ in range(20000)]), minlength=15
    )
    np.testing.assert_allclose(found, drawn / 20000, atol=0.03)
    np.testing.assert_allclose(inclusion_chances(np.full(10, 0.1), 4), 0.4)


def test_logq_takes_off_what_a_popular_item_is_drawn_more_often(training_set):
    changes = {"item_side": 0.0, "popularity_power": 1.0, "batch_users": 1000}
    with_logq, without = (known(training_set, logq=share, **changes) for share in (1.0, 0.0))
    a, b = plan_batch(with_logq, 0), plan_batch(without, 0)
    np.testing.assert_array_equal(a.rows, b.rows)
    chances = inclusion_chances(with_logq.chance_E, len(a.rows))
    by_row = dict(zip(training_set.fit_rows.tolist(), np.log(chances).tolist(), strict=True))
    x = torch.from_numpy(some_vectors(len(a.rows)).astype(np.float32))
    # All vectors the same: scores differ by the correction alone.
    same = x[:1].expand(len(a.rows), 8).contiguous()
    pairs, losses = training_set.fit_UI.toarray() > 0, []
    for user in range(len(training_set.users)):
        inside = [row for row in a.rows if pairs[user, row]]
        rivals = [row for row in a.rows if not pairs[user, row]]
        if not inside or not rivals or pairs[user].sum() == len(inside):
            continue
        others = sum(np.exp(-by_row[row]) for row in rivals)
        losses.append(np.mean([by_row[row] + np.log(np.exp(-by_row[row]) + others) for row in inside]))
    assert float(a.loss(same)) == pytest.approx(np.mean(losses), rel=1e-3)
    assert float(a.loss(same)) != pytest.approx(float(b.loss(same)), rel=1e-3)


def test_data_smaller_than_a_batch_still_has_users_to_learn_from(training_set):
    plans = known(training_set, batch_items=1000)
    assert plans.steps_per_epoch >= 2
    visited = [plan_batch(plans, number) for number in range(plans.steps_per_epoch)]
    assert all(plan is not None and len(plan.rows) <= len(training_set.fit_rows) // 2 + 1 for plan in visited)
    assert set(np.concatenate([plan.rows for plan in visited])) == set(training_set.fit_rows)


def test_popular_items_are_drawn_more_often_where_configured(training_set):
    flat, steep = (
        known(training_set, popularity_power=0.0, batch_items=8),
        known(training_set, popularity_power=1.0, batch_items=8),
    )
    drawn = [
        np.mean([training_set.fit.n_users_I[plan_batch(plans, number).rows].mean() for number in range(60)])
        for plans in (flat, steep)
    ]
    assert drawn[1] > drawn[0]


def test_mined_items_are_near_but_never_nearer_than_the_limit(training_set):
    plans = known(training_set, hard_share=0.5, hard_quantile=0.9, batch_items=16)
    rows = plan_batch(plans, 0).rows
    assert len(set(rows)) == len(rows) and set(rows) <= set(training_set.fit_rows)
    plain = plan_batch(known(training_set, hard_share=0.0, hard_quantile=0.9, batch_items=16), 0).rows
    cosines = plans.vectors_ID @ plans.vectors_ID.T
    kept, mined = sorted(set(rows) & set(plain)), sorted(set(rows) - set(plain))
    limits = {row: np.quantile(cosines[row][training_set.fit_rows], 0.9) for row in kept}
    assert mined
    for row in mined:  # near to one of those that were drawn, within its limit
        assert any(0.5 * limits[one] < cosines[row, one] <= limits[one] + 1e-6 for one in kept), (
            "a mined item is not a neighbour of the batch"
        )


@pytest.mark.parametrize("share", [0.25, 0.75])
def test_mining_keeps_the_size_of_the_batch(training_set, share):
    plans = known(training_set, hard_share=share, batch_items=16)
    plain = known(training_set, hard_share=0.0, batch_items=16)
    for number in range(plans.steps_per_epoch):
        rows = plan_batch(plans, number).rows
        assert len(rows) == len(set(rows)) == len(plan_batch(plain, number).rows)
