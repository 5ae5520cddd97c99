"""Click-through with an interval that may be looked at after every list."""

from dataclasses import fields

import numpy as np
import pytest

from recsys.evaluation.always_valid import MIN_USERS, GroupSums, difference

ALPHA, EFFECT = 0.05, 0.02


def test_click_through_and_its_variance_match_values_counted_by_hand():
    group = GroupSums.of(np.array([1, 3, 4]), np.array([1, 0, 9]))  # nine clicks on four lists count four
    assert group.rate == pytest.approx(5 / 8)
    by_users = (1 - 5 / 8) ** 2 + (0 - 15 / 8) ** 2 + (4 - 20 / 8) ** 2
    assert group.variance == pytest.approx(by_users * 3 / 2 / 64)


def test_lists_of_one_each_have_the_variance_of_a_share():
    clicks = np.repeat([1, 0], [300, 700])
    group = GroupSums.of(np.ones(1000, np.int64), clicks)
    assert group.variance == pytest.approx(clicks.var(ddof=1) / 1000, rel=1e-3)


def test_a_group_without_a_click_is_not_certain():
    assert GroupSums.of(np.ones(40, np.int64), np.zeros(40, np.int64)).variance > 0


def test_the_interval_is_the_mixture_bound_of_the_paper():
    """Howard et al. 2021, equation 14, on the score and its information."""
    a, b = (GroupSums.of(np.ones(n, np.int64), np.arange(n) % 5 == 0) for n in (4000, 1000))
    found = difference(a, b, ALPHA, EFFECT)
    information, rho = 1 / (a.variance + b.variance), 1 / EFFECT**2
    bound = np.sqrt((information + rho) * np.log((information + rho) / (rho * ALPHA**2)))
    assert found.high - found.value == pytest.approx(bound / information)
    assert found.value - found.low == pytest.approx(bound / information)


def test_too_few_users_say_nothing():
    few = GroupSums.of(np.ones(MIN_USERS - 1, np.int64), np.ones(MIN_USERS - 1, np.int64))
    many = GroupSums.of(np.ones(1000, np.int64), np.zeros(1000, np.int64))
    found = difference(many, few, ALPHA, EFFECT)
    assert (found.low, found.high) == (-1, 1)


@pytest.mark.parametrize(("alpha", "effect"), [(0, 0.1), (1, 0.1), (0.05, 0)])
def test_settings_out_of_range_are_refused(alpha, effect):
    group = GroupSums.of(np.ones(2, np.int64), np.ones(2, np.int64))
    with pytest.raises(ValueError, match="must"):
        difference(group, group, alpha, effect)


class Trials:
    """Many trials at once, R of them. Users differ, come back, and are looked at after every list."""

    def __init__(self, n: int, share: float, rate_a: float, rate_b: float, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        users = 3000
        self.is_b_RU = self.draw.random((n, users)) < share
        likes_RU = self.draw.beta(2, 18, (n, users)) / 0.1  # users differ: mean 1
        self.rate_RU = np.minimum(np.where(self.is_b_RU, rate_b, rate_a) * likes_RU, 1)
        self.lists_RU, self.clicks_RU = np.zeros((2, n, users))
        self.rows = np.arange(n)
        self.sums = np.zeros((2, len(fields(GroupSums)), n))

    def step(self, n_known: int) -> tuple[GroupSums, GroupSums]:
        """One more list in each trial, for one of the first users; the sums of both groups after it."""
        user = self.draw.integers(0, n_known, len(self.rows))
        place = self.rows, user
        lists, clicks, group = self.lists_RU[place], self.clicks_RU[place], self.is_b_RU[place].astype(int)
        click = self.draw.random(len(self.rows)) < self.rate_RU[place]
        self.lists_RU[place] += 1
        self.clicks_RU[place] += click
        before = np.array([lists > 0, lists, clicks, lists**2, clicks**2, lists * clicks], float)
        lists, clicks = lists + 1, clicks + click
        after = np.array([lists > 0, lists, clicks, lists**2, clicks**2, lists * clicks], float)
        self.sums[group, :, self.rows] += (after - before).T
        return GroupSums(*self.sums[0]), GroupSums(*self.sums[1])


def ever_wrong(trials: Trials, steps: int, truth: float) -> tuple[float, float]:
    """Share of trials whose interval ever excluded the truth: the always-valid one, and the usual 95 % one."""
    wrong, usual = np.zeros((2, len(trials.rows)), bool)
    for step in range(steps):
        a, b = trials.step(100 + step)
        found = difference(a, b, ALPHA, EFFECT)
        wrong |= (found.low > truth) | (found.high < truth)
        is_enough = np.minimum(a.n_users, b.n_users) >= MIN_USERS
        usual |= is_enough & (abs(found.value - truth) > 1.96 * np.sqrt(a.variance + b.variance))
    return float(wrong.mean()), float(usual.mean())


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_two_groups_that_are_alike_differ_more_rarely_than_alpha_though_somebody_looks_after_every_list(
    share,
):
    wrong, usual = ever_wrong(Trials(600, share, 0.1, 0.1, seed=1), 2500, truth=0.0)
    assert wrong <= ALPHA
    assert usual > 3 * ALPHA  # what the usual interval does under the same looks: so this test can fail


def test_a_real_difference_is_found():
    trials = Trials(100, 0.5, 0.10, 0.16, seed=2)
    found = [difference(*trials.step(100 + step), ALPHA, EFFECT) for step in range(2800)][-1]
    assert (np.asarray(found.low) > 0).mean() > 0.8
    assert (np.asarray(found.low) <= 0.06).mean() > 0.95
