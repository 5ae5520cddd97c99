"""Floor `plain_blend`: the sum of the TF-IDF centroid's scores and those of ridge users over the encoder.

For each user, each part's scores are scaled to mean 0 and deviation 1 over a fixed sample of the warm items. Nothing is
tuned. Still, few learned heads beat it where new items differ from old ones, since exact words remain informative.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.errors import EncoderError
from recsys.ranking.centroid import tfidf_centroid
from recsys.ranking.dot import RidgeUsers, ridge_users
from recsys.ranking.last_users import LastUsers
from recsys.ranking.tasks import Scorer

# Shape suffixes: U users, C candidates, N items of the sample.
SAMPLE = 1000
Scale = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class PlainBlend:
    """Two scorers with the same weight."""

    parts: tuple[Scorer, Scorer]
    """Words and meaning."""
    sample_N: NDArray[np.int64]
    """Warm items over which a user's scores are measured."""
    learned_from: NDArray[np.int64]
    _last: LastUsers[list[Scale]] = field(init=False, default_factory=LastUsers, compare=False, repr=False)

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, in standard deviations."""
        scales = self._last.of(users, lambda: [scale_of(part, users, self.sample_N) for part in self.parts])
        words_UC, meaning_UC = (
            _scaled(part.scores(users, candidates), scale)
            for part, scale in zip(self.parts, scales, strict=True)
        )
        return words_UC + meaning_UC


def plain_blend(known: Dataset, words: Scorer | None = None) -> PlainBlend | RidgeUsers:
    """Learn both from warm items, users without a prior. Where no warm item has a word, only they are returned.

    Args:
        known: texts, vectors and histories.
        words: the TF-IDF centroid of the same dataset; None: it is learned.

    Returns:
        The blend.
    """
    meaning = ridge_users(replace(known, prior_weight=0.0))
    try:
        words = words or tfidf_centroid(known)
    except EncoderError:
        return meaning
    return PlainBlend((words, meaning), warm_sample(known), known.warm)


def measured(
    part: Scorer, users: NDArray[np.int64], candidates: NDArray[np.int64], sample_N: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores as deviations from the mean of the user's scores over the sample; constant scores become 0."""
    return _scaled(part.scores(users, candidates), scale_of(part, users, sample_N))


def scale_of(part: Scorer, users: NDArray[np.int64], sample_N: NDArray[np.int64]) -> Scale:
    """Mean and deviation of each user's scores over the sample, [U, 1] each; 1 for a deviation of 0."""
    over_UN = np.asarray(part.scores(users, sample_N), np.float64)
    mean_U1, deviation_U1 = over_UN.mean(axis=1, keepdims=True), over_UN.std(axis=1, keepdims=True)
    return mean_U1, np.where(deviation_U1 > 0, deviation_U1, 1)


def _scaled(scores_UC: NDArray[np.float32], scale: Scale) -> NDArray[np.float32]:
    mean_U1, deviation_U1 = scale
    return np.asarray((scores_UC - mean_U1) / deviation_U1, np.float32)


def warm_sample(known: Dataset) -> NDArray[np.int64]:
    """A sample of the warm items, ascending, by the seed."""
    drawn = np.random.default_rng([known.seed, 3]).permutation(known.warm)
    return np.sort(drawn[:SAMPLE])
