"""Floor `plain_blend`: the TF-IDF centroid and ridge users over the encoder, added up as they come.

Each part's scores are brought to mean 0 and deviation 1 over a fixed sample of the warm items, for each user. Nothing
is tuned, and still few learned heads beat it where new items differ from old ones: exact words hold when tastes move.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.dataset import Dataset
from recsys.errors import EncoderError
from recsys.ranking.centroid import tfidf_centroid
from recsys.ranking.dot import RidgeUsers, ridge_users
from recsys.ranking.tasks import Scorer

# Shape suffixes: U users, C candidates, N items of the sample.
SAMPLE = 1000


@dataclass(frozen=True)
class PlainBlend:
    """Both parts with the same weight."""

    parts: tuple[Scorer, Scorer]
    """Words and meaning."""
    sample_N: NDArray[np.int64]
    """Warm items over which a user's scores are measured."""
    learned_from: NDArray[np.int64]

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC, without a unit."""
        words_UC, meaning_UC = (measured(part, users, candidates, self.sample_N) for part in self.parts)
        return words_UC + meaning_UC


def plain_blend(known: Dataset) -> PlainBlend | RidgeUsers:
    """Both are learned from warm items; where none of them has a word, the ridge is alone."""
    meaning = ridge_users(known)
    try:
        words = tfidf_centroid(known)
    except EncoderError:
        return meaning
    return PlainBlend((words, meaning), warm_sample(known), known.warm)


def measured(
    part: Scorer, users: NDArray[np.int64], candidates: NDArray[np.int64], sample_N: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Scores in deviations from the mean of the user's scores over the sample; a constant is 0."""
    over_UN = np.asarray(part.scores(users, sample_N), np.float64)
    mean_U1, deviation_U1 = over_UN.mean(axis=1, keepdims=True), over_UN.std(axis=1, keepdims=True)
    scores_UC = (part.scores(users, candidates) - mean_U1) / np.where(deviation_U1 > 0, deviation_U1, 1)
    return np.asarray(scores_UC, np.float32)


def warm_sample(known: Dataset) -> NDArray[np.int64]:
    """Some of the warm items, ascending, by the seed."""
    drawn = np.random.default_rng([known.seed, 3]).permutation(known.warm)
    return np.sort(drawn[:SAMPLE])
