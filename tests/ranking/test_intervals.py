import numpy as np
import pytest
from scipy.stats import bootstrap as reference

from recsys.ranking.intervals import Interval, bootstrap, bootstrap_over_seeds


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


def test_over_seeds_agrees_with_drawing_users_and_seeds_one_by_one():
    rng = np.random.default_rng(11)
    values_US = rng.normal(0.1, 0.3, (40, 1)) + rng.normal(0, 0.1, (1, 4)) + rng.normal(0, 0.2, (40, 4))
    drawn = [values_US[np.ix_(rng.integers(0, 40, 40), rng.integers(0, 4, 4))].mean() for _ in range(20_000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    (ours,) = bootstrap_over_seeds(values_US[:, :, None], rounds=20_000, seed=12)
    assert ours.mean == pytest.approx(values_US.mean())
    assert ours.low == pytest.approx(low, abs=0.05 * (high - low))
    assert ours.high == pytest.approx(high, abs=0.05 * (high - low))


def test_one_seed_and_seeds_that_agree_give_the_interval_over_users():
    values_UM = np.random.default_rng(13).normal(size=(60, 2))
    for n_seeds in (1, 3):
        repeated_USM = np.repeat(values_UM[:, None], n_seeds, axis=1)
        for ours, theirs in zip(
            bootstrap_over_seeds(repeated_USM, 300, 14), bootstrap(values_UM, 300, 14), strict=True
        ):
            assert (ours.mean, ours.low, ours.high) == pytest.approx((theirs.mean, theirs.low, theirs.high))


def test_a_lucky_seed_cannot_pay_for_a_bad_one_though_the_mean_over_users_is_sure():
    noise = np.random.default_rng(15).normal(scale=0.05, size=(2000, 2))
    values_US = noise + [0.2, -0.05]
    assert bootstrap(values_US.mean(axis=1, keepdims=True), 500, 16)[0].low > 0.06
    assert bootstrap_over_seeds(values_US[:, :, None], 500, 16)[0].low < 0


def test_a_training_that_gains_nothing_passes_less_often_the_more_of_it_is_resampled():
    """Seeds differ by three times the error of a mean over users, as in the docstring."""
    rng = np.random.default_rng(17)
    n_users, n_seeds, n_trials = 60, 3, 400
    opened = np.zeros(3)
    for _ in range(n_trials):
        own_US = rng.normal(0, 0.1, (n_users, 1)) + rng.normal(0, 0.3 / np.sqrt(n_users), (1, n_seeds))
        first_UM, mean_UM = own_US[:, :1], own_US.mean(axis=1, keepdims=True)
        intervals = (
            bootstrap(first_UM, 100, 18)[0],
            bootstrap(mean_UM, 100, 18)[0],
            bootstrap_over_seeds(own_US[:, :, None], 100, 18)[0],
        )
        is_above = np.array([one.low > 0 for one in intervals])
        opened += is_above & is_above[0]  # the challenger's own interval is asked for as well
    alone, over_users, over_both = opened / n_trials
    assert alone > 0.2 and over_both < 0.6 * over_users < 0.6 * alone


def test_without_a_seed_there_is_nothing_to_resample():
    with pytest.raises(ValueError, match="finite values of at least one user"):
        bootstrap_over_seeds(np.empty((5, 0, 1)), 100, 0)


def test_what_is_kept_elsewhere_needs_one_and_sqrt_2_more_half_widths_than_the_mean():
    change = Interval(mean=-0.005, low=-0.013, high=0.003)
    assert change.keeps(0.013) and not change.keeps(0.0129)
    assert change.will_keep(0.0244) and not change.will_keep(0.0243)  # .005 + (1 + 1.4142) * .008 = .02431


def test_what_will_be_kept_is_kept_by_other_users_in_39_of_40_samples():
    samples = np.random.default_rng(5).normal(0.1, 1.0, size=(300, 2 * 800))
    found = bootstrap(samples, 500, 0)
    kept = []
    for one, other in zip(found[:800], found[800:], strict=True):
        needed = (1 + np.sqrt(2)) * (
            one.mean - one.low
        ) - one.mean  # the smallest loss that `will_keep` tolerates
        assert one.will_keep(needed + 1e-9) and not one.will_keep(needed - 1e-9)
        kept.append(other.keeps(needed))
    assert 0.96 < np.mean(kept) < 0.99
