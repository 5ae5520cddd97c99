import numpy as np
import pytest
from scipy.stats import bootstrap as reference

from recsys.evaluation.intervals import bootstrap


def test_interval_agrees_with_the_percentile_bootstrap_of_scipy():
    values = np.random.default_rng(1).gamma(2.0, size=(400, 2))
    ours = bootstrap(values, rounds=4000, seed=2)
    for column, one in enumerate(ours):
        theirs = reference(
            (values[:, column],),
            np.mean,
            n_resamples=4000,
            method="percentile",
            rng=np.random.default_rng(3),
        ).confidence_interval
        width = theirs.high - theirs.low
        assert one.mean == pytest.approx(values[:, column].mean())
        assert one.low == pytest.approx(theirs.low, abs=0.06 * width)
        assert one.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_pairing_makes_a_small_but_steady_difference_certain():
    level = np.random.default_rng(4).normal(size=(300, 1))
    better = level + 0.01 + np.random.default_rng(5).normal(scale=0.01, size=(300, 1))
    assert bootstrap(better - level, 1000, 6)[0].low > 0
    assert bootstrap(better, 1000, 6)[0].low < bootstrap(level, 1000, 6)[0].high  # apart, they overlap


def test_the_same_seed_gives_the_same_interval_and_constants_have_no_width():
    values = np.random.default_rng(7).normal(size=(50, 3))
    assert bootstrap(values, 200, 8) == bootstrap(values, 200, 8)
    one = bootstrap(np.full((9, 1), 0.25), 100, 0)[0]
    assert (one.mean, one.low, one.high) == pytest.approx((0.25, 0.25, 0.25))


def test_columns_share_their_resamples():
    values = np.random.default_rng(9).normal(size=(80, 1))
    first, second = bootstrap(np.hstack([values, values]), 300, 10)
    assert first == second


@pytest.mark.parametrize("values", [np.empty((0, 1)), np.array([[np.nan], [1.0]])])
def test_no_users_and_missing_values_are_refused(values):
    with pytest.raises(ValueError, match="finite values of at least one user"):
        bootstrap(values, 100, 0)
