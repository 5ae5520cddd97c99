import numpy as np
import pytest

from recsys.errors import TrainingError
from recsys.heads.directions import find_directions


@pytest.fixture
def kernel():
    points = np.random.default_rng(0).normal(size=(30, 5))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return (np.exp(points @ points.T - 1)).astype(np.float32)


@pytest.fixture
def tastes():
    return (np.random.default_rng(1).random((12, 30)) < 0.3).astype(np.float32)


def test_at_full_width_the_directions_carry_every_users_kernel_ridge_function(kernel, tastes):
    truth = tastes @ np.linalg.solve(kernel + 0.5 * np.eye(30), kernel)
    found = find_directions(kernel.copy(), tastes, 0.5, 12, seed=0)
    assert found.axes_MD.shape == (30, 12)
    coordinates = kernel @ found.axes_MD
    # any function of the span is a combination of the coordinates
    solved, *_ = np.linalg.lstsq(coordinates, truth.T, rcond=None)
    np.testing.assert_allclose(coordinates @ solved, truth.T, atol=2e-3)


def test_axes_are_orthonormal_in_the_kernels_space_and_the_most_needed_comes_first(kernel, tastes):
    found = find_directions(kernel.copy(), tastes, 0.5, 6, seed=0)
    np.testing.assert_allclose(found.axes_MD.T @ kernel @ found.axes_MD, np.eye(6), atol=1e-3)
    assert found.need_D[0] == 1 and (np.diff(found.need_D) <= 0).all()
    np.testing.assert_allclose(found.stretch(2.0), found.need_D, rtol=1e-6)
    assert (found.stretch(0.0) == 1).all()


def test_a_user_with_a_long_history_counts_no_more_than_one_with_a_short_one(kernel):
    little = np.zeros((2, 30), np.float32)
    little[0, 0] = little[1, 7] = 1
    much = little * np.array([[1], [50]], np.float32)
    one, other = (find_directions(kernel.copy(), tastes, 0.5, 2, seed=0) for tastes in (little, much))
    np.testing.assert_allclose(one.need_D, other.need_D, rtol=1e-4)


def test_randomised_eigenvectors_span_what_the_exact_ones_span(kernel):
    tastes = (np.random.default_rng(2).random((200, 30)) < 0.3).astype(np.float32)
    randomised = find_directions(kernel.copy(), tastes, 0.5, 5, seed=0)  # 200 users, 5 directions
    weights = tastes @ np.linalg.inv(kernel + 0.5 * np.eye(30))
    products = weights @ kernel @ weights.T
    lengths = np.sqrt(products.diagonal())
    values = np.linalg.eigvalsh(products / lengths[:, None] / lengths)[::-1][:5]
    np.testing.assert_allclose(randomised.need_D, values / values[0], rtol=0.02)


def test_data_without_histories_is_refused(kernel):
    with pytest.raises(TrainingError, match="no user interacted with a landmark"):
        find_directions(kernel, np.zeros((3, 30), np.float32), 0.5, 4, seed=0)


def test_a_kernel_that_is_not_finite_is_refused(kernel, tastes):
    kernel[3, 4] = kernel[4, 3] = np.nan
    with pytest.raises(TrainingError, match="cannot be inverted"):
        find_directions(kernel, tastes, 0.5, 4, seed=0)
