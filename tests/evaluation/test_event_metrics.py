"""Metrics of events: by hand, against sklearn, and at the edges."""

import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from recsys.evaluation.event_metrics import auc, calibration_error, grouped_auc, log_loss, precision_recall_f1

RNG = np.random.default_rng(0)
SCORE = np.round(RNG.random(500), 2)  # with ties
EVENT = RNG.random(500) < SCORE


def test_auc_and_log_loss_are_those_of_sklearn():
    assert auc(SCORE, EVENT) == pytest.approx(roc_auc_score(EVENT, SCORE))
    assert log_loss(SCORE, EVENT) == pytest.approx(
        sklearn_log_loss(EVENT, np.clip(SCORE, 1e-12, 1 - 1e-12)), rel=1e-6
    )


def test_auc_by_hand():
    assert auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])) == 0.75
    assert auc(np.array([1.0, 1.0]), np.array([False, True])) == 0.5


@pytest.mark.parametrize("outcome", [True, False])
def test_with_one_outcome_auc_is_nan(outcome):
    same = np.full(3, outcome)
    assert np.isnan(auc(np.arange(3.0), same)) and np.isnan(
        grouped_auc(np.arange(3.0), same, np.zeros(3, int))
    )


def test_grouped_auc_weighs_users_by_their_pairs_and_skips_those_with_one_outcome():
    score = np.array([0.9, 0.1, 0.2, 0.8, 0.3, 0.5, 0.5])
    event = np.array([True, False, True, False, False, True, True])
    group = np.array([0, 0, 1, 1, 1, 2, 2])
    assert grouped_auc(score, event, group) == pytest.approx((2 * 1.0 + 3 * 0.0) / 5)
    order = RNG.permutation(7)
    assert grouped_auc(score[order], event[order], group[order]) == pytest.approx(0.4)


def test_calibration_error_by_hand():
    probability = np.array([0.1, 0.1, 0.8, 0.8])
    event = np.array([False, False, True, False])
    assert calibration_error(probability, event, n_bins=2) == pytest.approx((0.1 + 0.3) / 2)
    assert calibration_error(np.array([0.25] * 4), np.array([True, False, False, False]), 1) == 0


def test_calibrated_probabilities_have_a_small_error_and_others_a_large_one():
    probability = RNG.random(20_000)
    event = RNG.random(20_000) < probability
    assert calibration_error(probability, event) < 0.02 < 0.1 < calibration_error(probability**3, event)


def test_nothing_gives_nan():
    nothing = np.empty(0), np.empty(0, bool)
    assert np.isnan(log_loss(*nothing)) and np.isnan(calibration_error(*nothing))
    assert np.isnan(precision_recall_f1(np.zeros((2, 3), bool), np.zeros(2, int))).all()


def test_precision_recall_and_f1_by_hand():
    hits = np.array([[True, False], [True, True], [False, False]])
    precision, recall, f1 = precision_recall_f1(hits, np.array([1, 4, 0]))
    assert (precision, recall) == ((0.5 + 1) / 2, (1 + 0.5) / 2)
    assert f1 == pytest.approx((2 / 3 + 2 / 3) / 2)
