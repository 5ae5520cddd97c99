"""Scorer `ease_prior`: a linear item-item model that is pulled to what content says, so that it knows cold items.

EASE's weights are pulled to content weights B₀ (see `recsys/ranking/ease.py`). B₀ is the leave-one-out solution of
kernel ridge regression from items to items: with A = (K + κI)⁻¹ and K the RBF kernel of the vectors, B₀ = -A / diag(A)
off the diagonal for warm items, and A k(x) for any other item x: both are what all other items' texts say of it, so
warm and cold items stand on one scale. One factor by least squares of X on X B₀ brings it to the scale of X (kernel
ridge shrinks), and one more factor for items that only the prior knows is chosen on tuning sets.

Memory: X holds the MAX_ITEMS warm items with most users, 200 MB for each of about five matrices while learning and
two afterwards. The other warm items go through the prior: scored like cold ones, and in a history each counts as the
mixture of those items that kernel ridge makes of it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.baselines.floors import ByItem
from recsys.baselines.rbf_ridge import rbf
from recsys.dataset.dataset import Dataset
from recsys.ranking.ease import ease_weights, inverse, prior_scale
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import choose, mixed_ndcg, tuning_sets

# Shape suffixes: U users, I items, C candidates, S items of X, D width of the encoder, R items of some histories.
MAX_ITEMS = 5000
MAX_TUNING_ITEMS = 2000
"""The same while choosing, so that choosing takes less than learning."""
BLOCK_ITEMS = 4096
PRIORS = ((2.0, 2.0), (4.0, 2.0), (4.0, 10.0))
"""γ and κ of the kernel, chosen on tuning sets sets at the first λ."""
LAMBDAS = (300.0, 1000.0, 100.0, 30.0)
"""Chosen on tuning sets, after the kernel; the first is the default."""
LIFTS = (1.0, 0.7, 1.5, 2.0, 3.0)
"""Factor of the items that only the prior knows, chosen beside both."""


@dataclass(frozen=True)
class EaseSettings:
    """What the tuning sets choose."""

    gamma: float = 4.0
    """Sharpness of the kernel."""
    kappa: float = 2.0
    """Ridge of the kernel regression."""
    ease_lambda: float = LAMBDAS[0]
    """How strongly weights are pulled to the prior."""
    lift: float = LIFTS[0]


@dataclass(frozen=True)
class EasePrior:
    """Weights between items, and the kernel regression for all others."""

    settings: EaseSettings
    vectors_ID: NDArray[np.float32]
    histories_UI: csr_array
    place_I: NDArray[np.int64]
    """Place of an item in X; -1 outside."""
    vectors_SD: NDArray[np.float32]
    weights_SS: NDArray[np.float32]
    """B."""
    inverse_SS: NDArray[np.float32]
    """A."""
    scale: float
    """Factor on the prior."""
    learned_from: NDArray[np.int64]

    @property
    def chosen(self) -> Mapping[str, float]:
        """What the tuning sets chose, for reports."""
        one = self.settings
        return {"γ": one.gamma, "κ": one.kappa, "λ": one.ease_lambda, "lift": one.lift}

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = history · weights; of the prior alone for items outside X."""
        history_US = self._history(users)
        place_C = self.place_I[candidates]
        inside = np.flatnonzero(place_C >= 0)
        scores_UC = np.empty((len(users), len(candidates)), np.float32)
        scores_UC[:, inside] = history_US @ self.weights_SS[:, place_C[inside]]
        outside = np.flatnonzero(place_C < 0)
        carried_US = history_US @ self.inverse_SS * np.float32(self.scale * self.settings.lift)
        for start in range(0, len(outside), BLOCK_ITEMS):
            part = outside[start : start + BLOCK_ITEMS]
            vectors_BD = self.vectors_ID[candidates[part]]
            scores_UC[:, part] = carried_US @ rbf(vectors_BD, self.vectors_SD, self.settings.gamma).T
        return scores_UC

    def _history(self, users: NDArray[np.int64]) -> NDArray[np.float32]:
        """Histories over X; an item outside it counts as a mixture of those inside."""
        interactions_UI = csr_array(self.histories_UI[users])
        inside = self.place_I[interactions_UI.indices] >= 0
        row_P = np.repeat(np.arange(len(users)), np.diff(interactions_UI.indptr))
        history_US = np.zeros((len(users), len(self.vectors_SD)), np.float32)
        history_US[row_P[inside], self.place_I[interactions_UI.indices[inside]]] = 1
        others, place_P = np.unique(interactions_UI.indices[~inside], return_inverse=True)
        if len(others):
            others_UR = csr_array(
                (np.ones(len(place_P), np.float32), (row_P[~inside], place_P)),
                shape=(len(users), len(others)),
            )
            likeness_US = np.zeros_like(history_US)
            for start in range(0, len(others), BLOCK_ITEMS):
                part = slice(start, start + BLOCK_ITEMS)
                kernel_BS = rbf(self.vectors_ID[others[part]], self.vectors_SD, self.settings.gamma)
                likeness_US += others_UR[:, part] @ kernel_BS
            history_US += likeness_US @ self.inverse_SS
        return history_US


def ease_prior(known: Dataset, sets: Sequence[ValidationSet] | None = None) -> EasePrior | ByItem:
    """Learned from the warm items with most users; kernel, λ and lift by tuning sets, where there are some."""
    if not len(known.warm):
        return ByItem(np.zeros(len(known.texts), np.float32), known.warm)
    return learn_ease(known, choose_ease(tuning_sets(known) if sets is None else sets))


def choose_ease(sets: Sequence[ValidationSet]) -> EaseSettings:
    """Kernel first, then λ, each with all lifts; the defaults where there is no tuning."""
    found = EaseSettings()
    if not sets:
        return found
    kernels = [EaseSettings(gamma, kappa) for gamma, kappa in PRIORS]
    found = choose(sets, lambda tuning: _tried(tuning, kernels))
    return choose(sets, lambda tuning: _tried(tuning, [replace(found, ease_lambda=one) for one in LAMBDAS]))


def learn_ease(known: Dataset, settings: EaseSettings, max_items: int = MAX_ITEMS) -> EasePrior:
    """The model with given settings.

    Args:
        known: interactions from before the cut, some of them.
        settings: what the tuning sets chose.
        max_items: warm items in X, those with most users.

    Returns:
        The model.
    """
    inside = known.interactions.most_used(max_items)
    place_I = np.full(len(known.texts), -1, np.int64)
    place_I[inside] = np.arange(len(inside))
    vectors_SD = known.vectors_ID[inside]
    exact_SD = vectors_SD.astype(np.float64)
    inverse_SS = inverse(rbf(exact_SD, exact_SD, settings.gamma), settings.kappa)
    prior_SS = inverse_SS / -np.diag(inverse_SS)
    np.fill_diagonal(prior_SS, 0)
    history_US = csr_array(known.interactions.matrix_UI[:, inside], dtype=np.float64)
    gram_SS = (history_US.T @ history_US).toarray()
    scale = prior_scale(gram_SS, prior_SS)
    return EasePrior(
        settings,
        known.vectors_ID,
        known.interactions.matrix_UI,
        place_I,
        vectors_SD,
        ease_weights(gram_SS, prior_SS * scale, settings.ease_lambda).astype(np.float32),
        inverse_SS.astype(np.float32),
        scale,
        known.warm,
    )


def _tried(tuning: ValidationSet, tried: Iterable[EaseSettings]) -> Iterator[tuple[EaseSettings, float]]:
    """Every setting with every lift, and its metric."""
    for settings in tried:
        model = learn_ease(tuning.dataset, settings, MAX_TUNING_ITEMS)
        scores_UC = model.scores(tuning.mixed.users, tuning.mixed.candidates)
        outside_C = model.place_I[tuning.mixed.candidates] < 0
        for lift in LIFTS:
            factor_C = np.where(outside_C, lift / settings.lift, 1.0)
            yield replace(settings, lift=lift), mixed_ndcg(tuning, scores_UC * factor_C)
