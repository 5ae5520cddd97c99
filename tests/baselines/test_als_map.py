import numpy as np
import pytest

from recsys.baselines.als_map import KAPPAS, MAP_LAMBDAS, _joined, _mapped, als_factors, als_map
from tests.dataset.make import dataset_of


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(70, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    matrix_UI = rng.random((40, 70)) < 0.3
    matrix_UI[:, 60:] = False
    return dataset_of(vectors, matrix_UI, ("text",) * 70, ridge_lambda=1.0, seed=3)


def regressed(known):
    """The map as a plain ridge regression with an intercept that is not shrunk."""
    own = als_factors(known).items_IF[:60].astype(np.float64)
    design = np.hstack([known.vectors_ID[:60].astype(np.float64), np.ones((60, 1))])
    penalty = MAP_LAMBDAS[0] * np.diag([1.0] * 6 + [0.0])
    coefficients = np.linalg.solve(design.T @ design + penalty, design.T @ own)
    return np.hstack([known.vectors_ID, np.ones((70, 1))]) @ coefficients


def test_an_item_stands_between_its_own_factors_and_those_its_text_maps_to_by_its_number_of_interactions(
    known,
):
    model, factors, mapped = als_map(known, ()), als_factors(known), regressed(known)
    n_users_I = known.interactions.n_users_I[:60, None]
    expected = (n_users_I * factors.items_IF[:60] + KAPPAS[0] * mapped[:60]) / (n_users_I + KAPPAS[0])
    np.testing.assert_allclose(model.items_IF[:60], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(model.items_IF[60:], mapped[60:], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        model.scores(np.arange(3), np.array([2, 65])), factors.users_UF[:3] @ model.items_IF[[2, 65]].T
    )


def test_an_item_without_interactions_has_no_factors_of_its_own(known):
    assert not als_factors(known).items_IF[60:].any()


def test_lift_stretches_items_without_interactions_and_no_others(known):
    factors = als_factors(known)
    mapped = _mapped(known, factors, MAP_LAMBDAS[0])
    plain, lifted = (_joined(known, factors, mapped, KAPPAS[0], lift).items_IF for lift in (1.0, 2.0))
    np.testing.assert_array_equal(lifted[:60], plain[:60])
    np.testing.assert_allclose(lifted[60:], 2 * plain[60:])
