"""Event heads: P(click), P(purchase | click) and the value of a purchase, from the features of a pair, by numpy alone.

    inputs   features (standardised), u = W taste, x = W item, u * x
    hidden   two layers with ReLU, which all heads share
    heads    one logit each for click and for purchase given click, and one number for the value; each is a linear
             function of the hidden layer and of the standardised features

    P(click) = σ(a logit + b), with a > 0 and b fitted on pairs that were held out (Platt 1999)
    P(purchase) = P(click) P(purchase | click)      (ESMM, Ma et al. 2018: both are learned from all examples)

W projects profiles to a few dimensions, by default to none. It is learned with the heads, and held to give the profile
back (`event_training.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from recsys.ranking.shortlist import FEATURES, Shortlist

# Shape suffixes: C pairs, F features, D width of a profile, P projected dimensions, N inputs, H and J hidden units,
# E heads.
CLICK, PURCHASE, VALUE = range(3)
"""Heads, in the order of E."""
HEADS = ("click", "purchase", "value")
WEIGHTS = (
    "mean_F", "scale_F", "projection_DP", "first_NH", "first_H", "second_HJ", "second_J", "heads_JE", "heads_E",
    "wide_FE",
)  # fmt: skip
"""Arrays of the network, all float32."""


@dataclass(frozen=True)
class Predicted:
    """Predictions for pairs, each [C]."""

    click_C: NDArray[np.float64]
    """P(click)."""
    purchase_C: NDArray[np.float64] | None
    """P(purchase | click); None: no purchase was there to learn from."""
    value_C: NDArray[np.float64] | None
    """Expected value of the pair's event; None: no value was there to learn from."""


@dataclass(frozen=True)
class EventHeads:
    """The network, and the calibration of its probabilities."""

    weights: Mapping[str, NDArray[np.float32]]
    """Name in WEIGHTS -> array."""
    calibration_E2: NDArray[np.float64]
    """a > 0 and b of each head; those of a head that was not learned are not read."""
    is_learned_E: NDArray[np.bool_]
    """Whether there was anything to learn the head from. The head of clicks always is."""

    def predict(self, shortlist: Shortlist) -> Predicted:
        """Predictions for one user's candidates."""
        return self.predict_from(shortlist.features(), shortlist.taste_D, shortlist.items_CD)

    def predict_from(
        self,
        features_CF: NDArray[np.float32],
        taste_D: NDArray[np.float32],
        items_CD: NDArray[np.float32],
    ) -> Predicted:
        """Predictions for pairs.

        Args:
            features_CF: in the order of FEATURES, then those of traits.
            taste_D: direction of the user's history at unit length, or one row for each pair.
            items_CD: the items' profiles.

        Returns:
            The predictions, calibrated.
        """
        raw_CE = self.logits(features_CF, taste_D, items_CD).astype(np.float64)
        raw_CE = raw_CE * self.calibration_E2[:, 0] + self.calibration_E2[:, 1]
        has_purchase, has_value = self.is_learned_E[[PURCHASE, VALUE]].tolist()
        return Predicted(
            expit(raw_CE[:, CLICK]),
            expit(raw_CE[:, PURCHASE]) if has_purchase else None,
            raw_CE[:, VALUE] if has_value else None,
        )

    def logits(
        self, features_CF: NDArray[np.float32], taste_D: NDArray[np.float32], items_CD: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What the heads say before calibration, [C, E]; arguments as of `predict_from`."""
        w = self.weights
        plain_CF = (features_CF - w["mean_F"]) / w["scale_F"]
        inputs_CN = plain_CF
        if w["projection_DP"].size:
            items_CP = items_CD @ w["projection_DP"]
            taste_CP = np.broadcast_to(taste_D @ w["projection_DP"], items_CP.shape)
            inputs_CN = np.concatenate([plain_CF, taste_CP, items_CP, taste_CP * items_CP], axis=1)
        hidden_CH = np.maximum(inputs_CN @ w["first_NH"] + w["first_H"], 0)
        hidden_CJ = np.maximum(hidden_CH @ w["second_HJ"] + w["second_J"], 0)
        found_CE: NDArray[np.float32] = hidden_CJ @ w["heads_JE"] + w["heads_E"] + plain_CF @ w["wide_FE"]
        return found_CE

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `of` reads."""
        return {**self.weights, "calibration_E2": self.calibration_E2, "is_learned_E": self.is_learned_E}

    @classmethod
    def of(cls, saved: Mapping[str, NDArray[Any]], n_features: int = len(FEATURES)) -> "EventHeads":
        """Build heads from arrays.

        Args:
            saved: as `arrays` gave them, perhaps by a stranger.
            n_features: numbers of a pair that they read.

        Returns:
            The heads.

        Raises:
            ValueError: the arrays do not fit together, or hold a number that is not finite.
        """
        weights = {name: np.asarray(saved[name]) for name in WEIGHTS}
        for name, array in weights.items():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"{name} is not of finite float32 numbers")
        n_heads = len(HEADS)
        (n_hidden,), (n_second,) = weights["first_H"].shape, weights["second_J"].shape
        dim, projected = weights["projection_DP"].shape
        shapes = {
            "mean_F": (n_features,), "scale_F": (n_features,), "projection_DP": (dim, projected),
            "first_NH": (n_features + 3 * projected, n_hidden), "first_H": (n_hidden,),
            "second_HJ": (n_hidden, n_second), "second_J": (n_second,), "heads_JE": (n_second, n_heads),
            "heads_E": (n_heads,), "wide_FE": (n_features, n_heads),
        }  # fmt: skip
        for name, shape in shapes.items():
            if weights[name].shape != shape:
                raise ValueError(f"{name} is {list(weights[name].shape)}, not {list(shape)}")
        if not (weights["scale_F"] > 0).all():
            raise ValueError("scale_F is not above 0")
        calibration_E2, is_learned_E = saved["calibration_E2"], saved["is_learned_E"]
        if calibration_E2.dtype != np.float64 or calibration_E2.shape != (n_heads, 2):
            raise ValueError("calibration_E2 is not of two numbers for each head")
        if not np.isfinite(calibration_E2).all() or not (calibration_E2[:, 0] > 0).all():
            raise ValueError("calibration_E2 does not rise")
        if is_learned_E.dtype != np.bool_ or is_learned_E.shape != (n_heads,) or not is_learned_E[CLICK]:
            raise ValueError("is_learned_E does not say which heads are learned")
        return cls(weights, calibration_E2, is_learned_E)
