import numpy as np
import pytest

from recsys.profiles.completion import directions

PROFILES = np.array([[0.8, 0.6, 0], [0.6, 0, -0.8], [1, 0, 0]], np.float32)


def test_directions_leave_out_what_all_profiles_have_and_how_much_they_say():
    assert directions(PROFILES, 2) == pytest.approx(np.array([[1, 0], [0, -1], [0, 0]]))
    assert directions(PROFILES, 2).dtype == np.float32


def test_profiles_without_leading_dimensions_are_directions_already():
    assert directions(PROFILES, 0) is PROFILES
