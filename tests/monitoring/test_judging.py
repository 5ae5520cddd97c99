"""Limits from earlier arrivals: spread between arrivals counts, few arrivals widen them, Holm shares the rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.monitoring.judging import (
    BEYOND,
    Judgement,
    Measured,
    alarms,
    between_variance,
    judge,
    limits,
    margin,
    smallest,
)


def past(values, error=1.0):
    return [Measured(value, error) for value in values]


def test_between_variance_by_hand():
    # mean 2, sum of squares 8, two degrees of freedom: (8 - 2) / (3 - 3 / 3)
    assert between_variance(np.array([0.0, 2.0, 4.0]), np.ones(3)) == pytest.approx(3.0)
    assert between_variance(np.array([2.0, 2.1, 1.9]), np.ones(3)) == 0.0


def test_the_prediction_adds_chance_spread_and_what_is_uncertain_of_the_mean():
    found = judge(Measured(2.0, 0.5), past([0.0, 2.0, 4.0]), "both")
    assert found.expected == pytest.approx(2.0)
    assert found.deviation == pytest.approx(np.sqrt(0.25 + 3 + 4 / 3))
    assert found.p == pytest.approx(1.0)


def test_a_figure_that_always_varied_is_no_alarm_where_the_same_one_is_after_steady_arrivals():
    steady, wild = past([5, 6, 5, 6, 5, 6, 5, 6], 0.5), past([0, 9, 3, 12, 1, 10, 4, 7], 0.5)
    assert judge(Measured(15.0, 0.5), steady, "upper").p < 0.0005
    assert judge(Measured(15.0, 0.5), wild, "upper").p > 0.02


def test_sides():
    low = Measured(-9.0, 1.0)
    assert judge(low, past([0, 1, -1, 0, 1, -1]), "upper").p > 0.99
    assert judge(low, past([0, 1, -1, 0, 1, -1]), "lower").p < 0.01
    both = judge(low, past([0, 1, -1, 0, 1, -1]), "both").p
    assert both == pytest.approx(2 * judge(low, past([0, 1, -1, 0, 1, -1]), "lower").p)
    found = judge(low, past([0, 1, -1, 0, 1, -1]), "upper")
    assert limits(found, "upper", 0.01)[0] is None and limits(found, "lower", 0.01)[1] is None


def test_an_alarm_lies_beyond_all_earlier_arrivals_by_a_margin():
    before = past([0, 1, -1, 0, 1, -1, 0, 40], 1.0)
    assert not judge(Measured(45.0, 1.0), before, "upper").is_extreme
    assert judge(Measured(40 * margin(8) + 30, 1.0), before, "upper").is_extreme


def test_the_margin_lets_the_same_share_of_an_exponential_tail_pass_however_many_came_before():
    generator, n_rounds = np.random.default_rng(9), 40_000
    for n_past in (20, 60):
        past_max = generator.exponential(1.0, (n_rounds, n_past)).max(1)
        share = (generator.exponential(1.0, n_rounds) > margin(n_past) * past_max).mean()
        assert share == pytest.approx(BEYOND, abs=4 * np.sqrt(BEYOND / n_rounds))
    assert margin(20) > 2.3 and margin(60) == pytest.approx(1.6, abs=0.05) and margin(500) == 1


def test_earlier_arrivals_far_below_do_not_hide_one_that_lies_above():
    before = past([0, 1, -1, 0, 1, -1, 0, -40], 1.0)
    above, below = judge(Measured(40.0, 1.0), before, "both"), judge(Measured(-40.0, 1.0), before, "both")
    assert above.is_extreme and not below.is_extreme
    assert above.furthest == above.above < above.below == below.furthest
    lower, upper = limits(above, "both", 0.05)
    assert above.expected - lower == pytest.approx(margin(8) * above.below * above.deviation)
    assert upper - above.expected < above.expected - lower


def judged(p, is_extreme=True):
    furthest = 0.0 if is_extreme else 1.0
    return Judgement(value=1.0, expected=0.0, deviation=1.0, p=p, n_past=20, above=furthest)


def test_holm_shares_the_rate_and_stops_at_the_first_that_fails():
    found = {"a": judged(0.0024), "b": judged(0.004), "c": judged(0.3)}
    assert alarms(found, 0.01) == ("a", "b")  # .01 / 3 and .01 / 2
    assert alarms({"a": judged(0.004), "b": judged(0.0045), "c": judged(0.3)}, 0.01) == ()
    assert alarms({"a": judged(1e-9, is_extreme=False), "b": judged(0.004)}, 0.01) == ("b",)
    assert alarms({}, 0.01) == ()


@pytest.mark.parametrize(("spread", "n_past"), [(0.0, 12), (2.0, 12), (2.0, 60)])
def test_ordinary_arrivals_alarm_no_more_often_than_stated(spread, n_past):
    generator = np.random.default_rng(1)
    n_signals, rounds, raised = 6, 400, 0
    for _ in range(rounds):
        x = generator.normal(0, spread, (n_signals, n_past + 1)) + generator.normal(
            0, 1, (n_signals, n_past + 1)
        )
        found = {str(n): judge(Measured(row[-1], 1.0), past(row[:-1]), "both") for n, row in enumerate(x)}
        raised += bool(alarms(found, 0.02))
    assert raised <= 16  # 8 were expected at most; more than 16 has probability .003


def test_the_smallest_change_is_noticed_with_the_power_that_is_stated():
    generator, level = np.random.default_rng(2), 0.001
    noticed = []
    for _ in range(400):
        before = past(generator.normal(0, np.sqrt(1 + 1), 40))
        quiet = judge(Measured(0.0, 1.0), before, "upper")
        change = smallest(quiet, "upper", level)
        value = change + quiet.expected + generator.normal(0, np.sqrt(2))
        found = judge(Measured(value, 1.0), before, "upper")
        noticed.append(found.p < level and found.is_extreme)
    assert 0.9 < np.mean(noticed) <= 0.99


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=40),
    error=st.floats(1e-3, 1e3),
    now=st.floats(-1e6, 1e6),
)
def test_every_figure_has_a_probability(values, error, now):
    found = judge(Measured(now, error), past(values, error), "both")
    assert 0 <= found.p <= 1 and np.isfinite(found.expected) and found.deviation > 0
