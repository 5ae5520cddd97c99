import numpy as np
import pytest
import torch

from recsys.training.plans import Known, plan_batch
from tests.training.shop import make_shop, params


@pytest.fixture(scope="module")
def shop():
    return make_shop()


def known(shop, **changes):
    vectors = np.random.default_rng(0).normal(size=(len(shop.item_ids), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Known(shop, params(**changes), vectors, 1.0)


def test_an_epoch_visits_every_item_once_and_never_the_validation_slice(shop):
    plans = known(shop)
    epoch = np.concatenate([plan_batch(plans, number).rows for number in range(plans.steps_per_epoch)])
    np.testing.assert_array_equal(np.sort(epoch), shop.fit_rows)
    again = [
        plan_batch(plans, number).rows for number in range(plans.steps_per_epoch, 2 * plans.steps_per_epoch)
    ]
    assert not np.array_equal(epoch[: len(again[0])], again[0])


@pytest.mark.parametrize("objective", ["ridge", "mean", "pairs"])
def test_a_plan_depends_on_its_number_alone(shop, objective):
    one, other = known(shop, objective=objective), known(shop, objective=objective)
    for number in (5, 0, 3):
        plan_batch(one, number)
    a, b = plan_batch(one, 7), plan_batch(other, 7)
    np.testing.assert_array_equal(a.rows, b.rows)
    x = torch.nn.functional.normalize(torch.randn(len(a.rows), 8), dim=1)
    assert float(a.loss(x)) == float(b.loss(x))


def test_ridge_loss_is_that_of_a_plain_reference(shop):
    plans = known(shop, item_side=0.0, logq=0.0, hard_quantile=1.0, together_weight=0.0)
    plan = plan_batch(plans, 0)
    x = np.random.default_rng(3).normal(size=(len(plan.rows), 8))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    pairs = plans.training_set.fit_UI.toarray()
    fit = plans.vectors_ID[shop.fit_rows].astype(np.float64)
    inverse = np.linalg.inv(fit.T @ fit + np.eye(8))
    losses = []
    for user in range(len(shop.users)):
        theirs = set(np.flatnonzero(pairs[user]))
        outside = theirs - set(plan.rows)
        inside = [place for place, row in enumerate(plan.rows) if row in theirs]
        rivals = [place for place, row in enumerate(plan.rows) if row not in theirs]
        if not inside or not outside or not rivals:
            continue
        w = inverse @ plans.vectors_ID[sorted(outside)].astype(np.float64).sum(axis=0)
        scores = x @ (w / np.linalg.norm(w)) / plans.params.temperature
        others = np.exp(scores[rivals]).sum()
        losses.append(np.mean([-scores[p] + np.log(np.exp(scores[p]) + others) for p in inside]))
    assert losses
    reference = np.mean(losses)
    all_users = known(shop, item_side=0.0, logq=0.0, hard_quantile=1.0, together_weight=0.0, batch_users=1000)
    found = plan_batch(all_users, 0).loss(torch.from_numpy(x.astype(np.float32)))
    assert float(found) == pytest.approx(reference, rel=1e-3)


def test_a_shop_smaller_than_a_batch_still_has_users_to_learn_from(shop):
    plans = known(shop, batch_items=1000)
    assert plans.steps_per_epoch >= 2
    visited = [plan_batch(plans, number) for number in range(plans.steps_per_epoch)]
    assert all(plan is not None and len(plan.rows) <= len(shop.fit_rows) // 2 + 1 for plan in visited)
    assert set(np.concatenate([plan.rows for plan in visited])) == set(shop.fit_rows)


def test_popular_items_are_drawn_more_often_where_asked(shop):
    flat, steep = (
        known(shop, popularity_power=0.0, batch_items=8),
        known(shop, popularity_power=1.0, batch_items=8),
    )
    drawn = [
        np.mean([shop.n_met_I[plan_batch(plans, number).rows].mean() for number in range(60)])
        for plans in (flat, steep)
    ]
    assert drawn[1] > drawn[0]


def test_mined_items_are_near_but_never_nearer_than_the_limit(shop):
    plans = known(shop, hard_share=0.5, hard_quantile=0.9, batch_items=16)
    rows = plan_batch(plans, 0).rows
    assert len(set(rows)) == len(rows) and set(rows) <= set(shop.fit_rows)
    plain = plan_batch(known(shop, hard_share=0.0, hard_quantile=0.9, batch_items=16), 0).rows
    cosines = plans.vectors_ID @ plans.vectors_ID.T
    kept, mined = sorted(set(rows) & set(plain)), sorted(set(rows) - set(plain))
    limits = {row: np.quantile(cosines[row][shop.fit_rows], 0.9) for row in kept}
    assert mined
    for row in mined:  # near to one of those that were drawn, within its limit
        assert any(0.5 * limits[one] < cosines[row, one] <= limits[one] + 1e-6 for one in kept), (
            "a mined item is no neighbour of the batch"
        )


def test_what_is_nearer_to_a_positive_than_the_quantile_is_no_negative(shop):
    """Without the limit a near duplicate of a positive is pushed away, with it it is left alone."""
    base = known(shop, item_side=0.0)
    plan_rows = plan_batch(base, 0).rows
    vectors = base.vectors_ID.copy()
    pairs = shop.fit_UI.toarray() > 0
    twin_of, twin = next(
        (a, b) for a in plan_rows for b in plan_rows if a != b and (pairs[:, a] & ~pairs[:, b]).any()
    )
    vectors[twin] = vectors[twin_of]
    x = torch.nn.functional.normalize(
        torch.randn(len(plan_rows), 8, generator=torch.Generator().manual_seed(1)), dim=1
    )
    gradients = []
    for quantile in (1.0, 0.98):
        plans = Known(shop, params(item_side=0.0, hard_quantile=quantile, batch_users=1000), vectors, 1.0)
        moved = x.clone().requires_grad_(True)
        plan_batch(plans, 0).loss(moved).backward()
        gradients.append(moved.grad[list(plan_rows).index(twin)])
    assert not torch.allclose(*gradients)
