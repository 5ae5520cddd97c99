"""A like counts less where the user's other likes resemble it."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from recsys.profiles.alike import alike_factors, with_alike

X, Y, NOT_X = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)


def test_two_likes_of_one_kind_count_as_one_of_another():
    factors = alike_factors(np.array([X, X, Y], np.float32), 1.0)
    assert factors == pytest.approx(np.array([0.5, 0.5, 1.0]) / (2 / 3))


def test_what_nothing_resembles_counts_in_full_even_where_others_are_its_opposite():
    assert alike_factors(np.array([X, NOT_X, Y]), 1.0) == pytest.approx(np.ones(3))
    assert alike_factors(np.array([X]), 1.0) == pytest.approx(np.ones(1))


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_the_power_says_how_much_less(power):
    factors = alike_factors(np.array([X, X, Y]), power)
    assert factors[0] / factors[2] == pytest.approx(2**-power) and factors.mean() == pytest.approx(1)


def test_what_all_profiles_have_in_common_makes_no_likes_alike():
    likes = np.array([(0.8, 0.6, 0.0), (0.8, 0.6, 0.0), (0.8, 0.0, 0.6)])
    assert alike_factors(likes, 1.0, lexical_width=1) == pytest.approx(
        np.ones(3)
    )  # .72, .72 and .36: at least 1
    many = np.repeat(likes, (3, 1, 1), axis=0)  # four of one kind: 4 times .36 each
    assert alike_factors(many, 1.0, 1)[:4] / alike_factors(many, 1.0, 1)[4] == pytest.approx(1 / 1.44)


def test_opinions_that_are_no_likes_count_as_before():
    vectors = np.array([X, X, Y, Y], np.float32)
    counted = csr_array(np.array([[2.0, 1.0, 1.0, -0.5], [0, 0, 0, 1.0]]))
    likes = csr_array(np.array([[1.0, 1.0, 1.0, 0], [0, 0, 0, 1.0]]))
    found = with_alike(counted, likes, vectors, 1.0).toarray()
    assert found == pytest.approx(np.array([[1.5, 0.75, 1.5, -0.5], [0, 0, 0, 1.0]]))
    assert with_alike(counted, likes, vectors, 0.0) is counted
