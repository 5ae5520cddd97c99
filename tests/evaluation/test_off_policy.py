"""Estimates of policies from simulated logs whose truth is known."""

import numpy as np
import pytest

from recsys.evaluation.off_policy import LoggedChoices, estimate

CONTEXTS, ACTIONS = 7, 5
REWARD_XA = np.random.default_rng(0).uniform(0.02, 0.6, (CONTEXTS, ACTIONS))
LOGGING_XA = np.random.default_rng(1).dirichlet(np.ones(ACTIONS), CONTEXTS) * 0.8 + 0.2 / ACTIONS
TARGET_XA = np.exp(6 * REWARD_XA) / np.exp(6 * REWARD_XA).sum(axis=1, keepdims=True)
TRUTH = float((TARGET_XA * REWARD_XA).sum(axis=1).mean())


def simulated(seed, n=800, model_XA=None, per_user=1):
    """A log of the logging policy; users repeat their context and action `per_user` times."""
    rng = np.random.default_rng(seed)
    x_N = rng.integers(CONTEXTS, size=n // per_user).repeat(per_user)
    coin_N = rng.random(n // per_user).repeat(per_user)
    a_N = (LOGGING_XA[x_N].cumsum(axis=1) < coin_N[:, None]).sum(axis=1)
    reward_N = (rng.random(n // per_user).repeat(per_user) < REWARD_XA[x_N, a_N]).astype(float)
    model = {}
    if model_XA is not None:
        model = {
            "predicted_N": model_XA[x_N, a_N],
            "expected_N": (TARGET_XA[x_N] * model_XA[x_N]).sum(axis=1),
        }
    users = np.arange(n // per_user).repeat(per_user) if per_user > 1 else None
    return LoggedChoices(reward_N, LOGGING_XA[x_N, a_N], TARGET_XA[x_N, a_N], users, **model)


@pytest.fixture(scope="module")
def repeated():
    wrong_XA = np.full_like(REWARD_XA, 0.3)
    return [estimate(simulated(seed, model_XA=wrong_XA), rounds=300, seed=seed) for seed in range(300)]


@pytest.mark.whole
def test_ips_and_dr_with_a_wrong_model_are_unbiased_and_snips_nearly(repeated):
    for name in ("ips", "dr", "snips"):
        means = np.array([getattr(one, name).mean for one in repeated])
        error = means.std() / np.sqrt(len(means))
        assert abs(means.mean() - TRUTH) < 4 * error, name
    naive = np.array([one.logged.mean for one in repeated])
    assert abs(naive.mean() - TRUTH) > 10 * naive.std() / np.sqrt(
        len(naive)
    )  # the log's own mean is another value


@pytest.mark.whole
def test_intervals_cover_the_truth_as_often_as_they_say(repeated):
    for name in ("ips", "dr", "snips"):
        covered = np.mean([getattr(one, name).low <= TRUTH <= getattr(one, name).high for one in repeated])
        assert 0.91 <= covered <= 0.985, (name, covered)
    assert np.mean([one.mean_weight.low <= 1 <= one.mean_weight.high for one in repeated]) >= 0.9


def test_a_good_reward_model_narrows_the_interval_of_dr():
    def widths(model_XA):
        found = [estimate(simulated(seed, model_XA=model_XA), 300).dr for seed in range(20)]
        return np.mean([one.high - one.low for one in found])

    assert widths(REWARD_XA) < 0.9 * widths(np.zeros_like(REWARD_XA))


def test_rows_of_one_user_are_resampled_together():
    alone = simulated(5, n=2000, per_user=10)
    apart = LoggedChoices(alone.reward_N, alone.propensity_N, alone.target_N)
    wide, narrow = estimate(alone).snips, estimate(apart).snips
    assert wide.mean == pytest.approx(narrow.mean)
    assert wide.high - wide.low > 2.5 * (narrow.high - narrow.low)  # √10 where all ten rows are the same


def test_snips_does_not_change_when_rewards_are_shifted_but_ips_does():
    log = simulated(6)
    shifted = LoggedChoices(log.reward_N + 1, log.propensity_N, log.target_N)
    assert estimate(shifted).snips.mean == pytest.approx(estimate(log).snips.mean + 1)
    assert estimate(shifted).ips.mean == pytest.approx(estimate(log).ips.mean + log.weight_N.mean())


def test_the_logging_policy_itself_has_weights_of_one():
    log = simulated(7)
    own = estimate(LoggedChoices(log.reward_N, log.propensity_N, log.propensity_N))
    assert own.ips == own.snips == own.logged
    assert own.effective_n == pytest.approx(own.n) and own.warnings == ()


def test_little_overlap_and_wrong_propensities_are_warned_of():
    n = 400
    propensity_N = np.full(n, 0.5)
    few = LoggedChoices(np.ones(n), propensity_N, np.where(np.arange(n) < 12, 1.0, 0.0))
    assert any("effective sample size is 12" in line for line in estimate(few).warnings)
    assert any("should be 1" in line for line in estimate(few).warnings)
    one_N = np.full(n, 0.5)
    one_N[0] = 0.001
    assert any(
        "one row has" in line for line in estimate(LoggedChoices(np.ones(n), one_N, propensity_N)).warnings
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensity_N": [0.5, 0.0]}, "propensity should be above 0 and at most 1, row 2 has 0.0"),
        ({"propensity_N": [-0.1, 0.5]}, "propensity should be above 0 and at most 1, row 1 has -0.1"),
        ({"propensity_N": [0.5, 1.5]}, "row 2 has 1.5"),
        ({"propensity_N": [0.5, np.nan]}, "propensity should be a finite number, row 2 has nan"),
        ({"target_N": [0.5, 1.01]}, "target should be in"),
        ({"reward_N": [np.inf, 0.0]}, "reward should be a finite number, row 1 has inf"),
        ({"target_N": [0.5]}, "target has 1 rows, reward 2"),
        ({"predicted_N": [0.5, 0.5]}, "both predicted and expected"),
        ({"reward_N": [], "propensity_N": [], "target_N": []}, "the log is empty"),
    ],
)
def test_bad_values_are_refused_by_row(changes, message):
    values = {"reward_N": [0.0, 1.0], "propensity_N": [0.5, 0.5], "target_N": [0.2, 0.3]} | changes
    with pytest.raises(ValueError, match=message):
        LoggedChoices(**{name: np.array(one, float) for name, one in values.items()})


def test_a_target_that_never_chooses_what_was_logged_is_refused():
    with pytest.raises(ValueError, match="in 3 of 50 groups"):
        estimate(LoggedChoices(np.ones(50), np.full(50, 0.5), np.where(np.arange(50) < 3, 1.0, 0.0)))
