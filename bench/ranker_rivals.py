"""Rivals of the event heads on the same features: gradient-boosted trees (LightGBM) and logistic regression."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier, early_stopping
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from recsys.dataset.trait_names import NONE, TraitNames
from recsys.ranking.event_examples import Examples
from recsys.ranking.platt import platt
from recsys.ranking.shortlist import Shortlist

# Shape suffixes: E examples, C candidates, F features.
HELD_OUT = 0.2
"""Share of the users by whom trees stop, and by whom both are calibrated."""


@dataclass(frozen=True)
class Rival:
    """A classifier behind the first ranker; fulfils `SecondRanker`."""

    classifier: Any
    """An LGBMClassifier or a scikit-learn pipeline."""
    slope: float
    offset: float
    depth: int = 300
    traits: TraitNames = NONE

    def scores(self, shortlist: Shortlist) -> NDArray[np.float32]:
        """P(click) of a user's candidates."""
        return self.probabilities(shortlist.features()).astype(np.float32)

    def probabilities(self, features_CF: NDArray[np.float32]) -> NDArray[np.float64]:
        """P(event), calibrated."""
        return 1 / (1 + np.exp(-(self.slope * raw(self.classifier, features_CF) + self.offset)))


def trees(examples: Examples, is_event_E: NDArray[np.bool_], seed: int) -> Rival:
    """LightGBM with early stopping on held-out users, negatives weighted by 1 / q."""
    held_E = held_out(examples, seed)
    weight_E = np.where(is_event_E, 1.0, np.exp(-examples.log_q_E))
    model = LGBMClassifier(
        n_estimators=600, learning_rate=0.03, num_leaves=31, min_child_samples=100, subsample=0.8,
        subsample_freq=1, colsample_bytree=0.8, random_state=seed, n_jobs=1, deterministic=True, verbose=-1,
    )  # fmt: skip
    model.fit(
        examples.features_EF[~held_E],
        is_event_E[~held_E],
        sample_weight=weight_E[~held_E],
        eval_X=examples.features_EF[held_E],
        eval_y=is_event_E[held_E],
        eval_sample_weight=[weight_E[held_E]],
        callbacks=[early_stopping(30, verbose=False)],
    )
    return calibrated(model, examples, is_event_E, weight_E, held_E)


def logistic(examples: Examples, is_event_E: NDArray[np.bool_], seed: int) -> Rival:
    """Logistic regression over standardised features, negatives weighted by 1 / q."""
    held_E = held_out(examples, seed)
    weight_E = np.where(is_event_E, 1.0, np.exp(-examples.log_q_E))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(
        examples.features_EF[~held_E],
        is_event_E[~held_E],
        logisticregression__sample_weight=weight_E[~held_E],
    )
    return calibrated(model, examples, is_event_E, weight_E, held_E)


def held_out(examples: Examples, seed: int) -> NDArray[np.bool_]:
    """Which examples are of held-out users."""
    drawn = np.random.default_rng(seed).permutation(np.unique(examples.row_U))
    return np.isin(examples.row_U, drawn[: round(HELD_OUT * len(drawn))])[examples.user_E]


def calibrated(
    model: Any,  # noqa: ANN401  both libraries have no types
    examples: Examples,
    is_event_E: NDArray[np.bool_],
    weight_E: NDArray[np.float64],
    held_E: NDArray[np.bool_],
) -> Rival:
    """The classifier with Platt's curve, fitted on held-out users."""
    slope, offset = platt(raw(model, examples.features_EF[held_E]), is_event_E[held_E], weight_E[held_E])
    return Rival(model, slope, offset)


def raw(model: Any, features_CF: NDArray[np.float32]) -> NDArray[np.float64]:  # noqa: ANN401
    """Logits."""
    if isinstance(model, LGBMClassifier):
        return np.asarray(model.predict(features_CF, raw_score=True), np.float64)
    return np.asarray(model.decision_function(features_CF), np.float64)
