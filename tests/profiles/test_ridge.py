import numpy as np
import pytest

from recsys.profiles.gram import gram_of
from recsys.profiles.ridge import Ridge
from tests.unit_rows import unit_rows


def test_weights_match_a_ridge_counted_by_hand():
    # gram = diag(1, 3), λ = 1: (gram + I)^-1 = diag(1/2, 1/4)
    ridge = Ridge(np.diag([1.0, 3.0]), 1.0)
    np.testing.assert_allclose(ridge.weights(np.array([[1.0, 1.0], [4.0, 0.0]])), [[0.5, 0.25], [2.0, 0.0]])


def test_weights_solve_the_regression_of_a_users_clicks_on_all_items():
    x_ID = unit_rows(np.random.default_rng(1), 40, 6).astype(np.float64)
    clicked_I = np.zeros(40)
    clicked_I[[3, 7, 21]] = 1
    expected_D = np.linalg.solve(x_ID.T @ x_ID + 2.0 * np.eye(6), x_ID.T @ clicked_I)
    got_UD = Ridge(gram_of(x_ID), 2.0).weights(x_ID[[3, 7, 21]].sum(axis=0, keepdims=True))
    np.testing.assert_allclose(got_UD[0], expected_D, rtol=2e-3)
    assert got_UD.dtype == np.float32


def test_a_user_without_items_has_a_zero_profile():
    assert not Ridge(np.eye(3), 1.0).weights(np.zeros((1, 3))).any()


def test_sums_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"b must be \[U, 3\], got \[1, 4\]"):
        Ridge(np.eye(3), 1.0).weights(np.zeros((1, 4)))
