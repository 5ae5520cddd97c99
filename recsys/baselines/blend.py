"""Scorer `blend`: `ridge` and `ease_prior` added up, by how much is known of the item.

Each part's scores are brought to mean 0 and deviation 1 over a fixed sample of the warm items, for each user. An item's
score is (1 - w) of the ridge's and w of EASE's, w being that of the item's bucket: no user, 1 to 4, 5 to 19, 20 or
more. The weights are chosen on tuning sets, bucket by bucket, by ndcg@20 of mixed lists; then both parts are
learned from everything.

Paper: Töscher, Jahrer & Bell 2009, The BigChaos Solution to the Netflix Grand Prize (blending by support).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.baselines.ease_prior import MAX_TUNING_ITEMS, EaseSettings, choose_ease, learn_ease
from recsys.baselines.floors import ByItem
from recsys.dataset.dataset import Dataset
from recsys.ranking.dot import ridge_users
from recsys.ranking.plain_blend import measured, warm_sample
from recsys.ranking.tasks import Scorer
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import mixed_ndcg, tuning_sets

# Shape suffixes: U users, I items, C candidates, N items of the sample, B buckets.
FROM = (1, 5, 20)
"""Interactions from which an item belongs to the next bucket."""
GRID = (0.5, 0.0, 0.25, 0.75, 1.0)
"""Weights tried; the first is where the search starts and what stays where nothing can be chosen."""
ROUNDS = 2


@dataclass(frozen=True)
class Blend:
    """Both parts, and how they are joined."""

    parts: tuple[Scorer, Scorer]
    """Ridge and EASE."""
    weight_I: NDArray[np.float32]
    """Weight of EASE for each item, [I]."""
    sample_N: NDArray[np.int64]
    """Warm items over which a user's scores are measured."""
    learned_from: NDArray[np.int64]
    chosen: Mapping[str, float]
    """What the tuning sets chose, for reports."""

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, without a unit."""
        ridge_UC, ease_UC = (measured(part, users, candidates, self.sample_N) for part in self.parts)
        weight_C = self.weight_I[candidates]
        return (1 - weight_C) * ridge_UC + weight_C * ease_UC


def blend(known: Dataset, sets: Sequence[ValidationSet] | None = None) -> Blend | ByItem:
    """Settings of EASE and weights are chosen on tuning sets sets; without any, half of each."""
    if not len(known.warm):
        return ByItem(np.zeros(len(known.texts), np.float32), known.warm)
    sets = tuning_sets(known) if sets is None else sets
    settings = choose_ease(sets)
    weight_B = _chosen([_scored(one, settings) for one in sets]) if sets else _constant()
    parts = (ridge_users(known), learn_ease(known, settings))
    chosen = {f"weight from {n} on": float(one) for n, one in zip((0, *FROM), weight_B, strict=True)}
    return Blend(
        parts, weight_B[_buckets(known)], warm_sample(known), known.warm, chosen | dict(parts[1].chosen)
    )


@dataclass(frozen=True)
class _Scored:
    """A tuning set with the scores of both parts."""

    tuning: ValidationSet
    ridge_UC: NDArray[np.float32]
    ease_UC: NDArray[np.float32]
    bucket_C: NDArray[np.int64]

    def ndcg(self, weight_B: NDArray[np.float32]) -> float:
        """Mean ndcg of the blend over the users of the tuning set."""
        weight_C = weight_B[self.bucket_C]
        return mixed_ndcg(self.tuning, (1 - weight_C) * self.ridge_UC + weight_C * self.ease_UC)


def _scored(tuning: ValidationSet, settings: EaseSettings) -> _Scored:
    known, sample_N = tuning.dataset, warm_sample(tuning.dataset)
    ridge_UC, ease_UC = (
        measured(part, tuning.mixed.users, tuning.mixed.candidates, sample_N)
        for part in (ridge_users(known), learn_ease(known, settings, MAX_TUNING_ITEMS))
    )
    return _Scored(tuning, ridge_UC, ease_UC, _buckets(known)[tuning.mixed.candidates])


def _chosen(scored: Sequence[_Scored]) -> NDArray[np.float32]:
    """Weights by bucket: each in turn takes its best of the grid while the others stay."""
    weight_B = _constant()
    metrics = {tuple(weight_B): sum(one.ndcg(weight_B) for one in scored)}
    for _ in range(ROUNDS):
        for bucket in range(len(weight_B)):
            for weight in GRID:
                tried_B = weight_B.copy()
                tried_B[bucket] = weight
                if tuple(tried_B) not in metrics:
                    metrics[tuple(tried_B)] = sum(one.ndcg(tried_B) for one in scored)
            weight_B = np.array(max(metrics, key=lambda one: metrics[one]), np.float32)
    return weight_B


def _buckets(known: Dataset) -> NDArray[np.int64]:
    return np.asarray(np.searchsorted(np.array(FROM), known.interactions.n_users_I, side="right"), np.int64)


def _constant() -> NDArray[np.float32]:
    return np.full(len(FROM) + 1, GRID[0], np.float32)
