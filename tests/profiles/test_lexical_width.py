import numpy as np

from recsys.profiles.ridge import Ridge

# Two dimensions of words after the one that fills up, then two of meaning.
X = np.random.default_rng(0).normal(size=(50, 5))
B = X[:3]
LAMBDA = 2.0


def test_users_are_plain_sums_in_words_and_ridge_users_in_the_rest():
    weights = Ridge(X.T @ X, LAMBDA, 3).weights(B)
    rest = X[:, 3:]
    np.testing.assert_allclose(weights[:, 1:3], B[:, 1:3] / LAMBDA, rtol=1e-6)
    np.testing.assert_allclose(weights[:, 3:], Ridge(rest.T @ rest, LAMBDA).weights(B[:, 3:]), rtol=1e-5)


def test_what_brings_profiles_to_unit_length_says_nothing_of_a_user():
    assert (Ridge(X.T @ X, LAMBDA, 3).weights(B)[:, 0] == 0).all()


def test_without_words_the_metric_is_that_of_all_dimensions():
    expected = B @ np.linalg.inv(X.T @ X + LAMBDA * np.eye(5))
    np.testing.assert_allclose(Ridge(X.T @ X, LAMBDA).weights(B), expected, rtol=1e-5)
