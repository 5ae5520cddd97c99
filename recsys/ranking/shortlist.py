"""Features of one user paired with each candidate that was recalled for the user: all that a second ranker reads.

The features are numbers of a pair (`FEATURES`) and two profiles. They are computed one user at a time, by the same code
in validation, judging and releases.

For an item without interactions only the scores are read, not words and cosines. The latter help on random held-out
items, from which heads are learned, but not on the newest items: on ml100k-cold they raised ndcg@20 of the former by
.006 and lowered that of the latter by .007. With scores alone, a user's new items mostly keep the order of the first
ranker, though nothing forces the network to keep it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: C candidates of one user, H items of the user's history, I items, D width of a profile, F features.
FEATURES = (
    "score",
    "score_by_length",
    "profile",
    "profile_by_length",
    "correction",
    "words",
    "nearest",
    "nearest_3",
    "nearness",
    "popularity",
    "is_new",
    "history",
    "popularity_of_history",
    "popularity_gap",
)
"""Numbers of a pair, in this order:

score                  that the candidate was recalled by: the inner product of the profiles, corrected by item weights
score_by_length        the same over the length of the user's profile
profile                inner product of the profiles
profile_by_length      the same over the length of the user's profile
correction             score minus profile
words                  inner product of the dimensions that hold words apart; 0 where a head has none
nearest                cosine with the nearest item of the history
nearest_3              mean cosine with the three nearest
nearness               mean cosine with all of the history; this and the three above are 0 for a new item
popularity             see `popularity_of`
is_new                 1 where nobody interacted with the item
history                log(1 + number of items in the history)
popularity_of_history  mean popularity of the history
popularity_gap         popularity minus that mean, without its sign
"""
IS_OF_KNOWN_F = np.isin(FEATURES, ["words", "nearest", "nearest_3", "nearness"])
"""Features that are 0 for an item that nobody interacted with."""
NEAR = 3
"""Items of the history whose mean cosine is `nearest_3`."""


@dataclass(frozen=True)
class Shortlist:
    """One user's candidates."""

    user_D: NDArray[np.floating]
    """The user's profile, times the growth of the first ranker."""
    items_CD: NDArray[np.float32]
    """Profiles of the candidates, unit rows."""
    history_HD: NDArray[np.float32]
    """Profiles of the items that the user interacted with; no row where only words are known of the user."""
    profile_C: NDArray[np.floating]
    """Inner products of both, times the growth."""
    score_C: NDArray[np.floating]
    """Scores that the candidates were recalled by."""
    popularity_C: NDArray[np.float32]
    popularity_H: NDArray[np.float32]
    is_new_C: NDArray[np.bool_]
    """Whether nobody has interacted with the item."""
    lexical_width: int = 0
    """Leading dimensions of profiles that hold words."""
    traits_CF: NDArray[np.float32] | None = None
    """Further numbers of each pair, see `traits.py`; None where the ranker reads none."""

    @property
    def taste_D(self) -> NDArray[np.float32]:
        """The sum of the history's profiles at unit length; zeros without a history.

        Unlike `user_D` it is linear in the profiles up to its length, so it moves with them when a head is learned
        again.
        """
        sum_D = self.history_HD.sum(axis=0, dtype=np.float64)
        return np.asarray(sum_D / _length(sum_D), np.float32)

    def features(self) -> NDArray[np.float32]:
        """features_CF in the order of FEATURES, then `traits_CF`; finite."""
        n, length = len(self.items_CD), _length(self.user_D)
        words = slice(min(1, self.lexical_width), self.lexical_width)
        score_C, profile_C = self.score_C.astype(np.float64), self.profile_C.astype(np.float64)
        typical = float(self.popularity_H.mean()) if len(self.popularity_H) else 0.0
        columns = (
            score_C,
            score_C / length,
            profile_C,
            profile_C / length,
            score_C - profile_C,
            self.items_CD[:, words] @ self.user_D[words].astype(np.float32),
            *self._cosines(),
            self.popularity_C,
            self.is_new_C,
            np.full(n, np.log1p(len(self.history_HD))),
            np.full(n, typical),
            np.abs(self.popularity_C - typical),
        )
        features_CF = np.stack(columns, axis=1).astype(np.float32)
        features_CF[self.is_new_C[:, None] & IS_OF_KNOWN_F] = 0
        if self.traits_CF is None:
            return features_CF
        return np.concatenate([features_CF, self.traits_CF], axis=1)

    def _cosines(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Cosine of each candidate with the nearest item of the history, with the nearest three, with all; each [C]."""
        if not len(self.history_HD):
            zero_C = np.zeros(len(self.items_CD), np.float32)
            return zero_C, zero_C, zero_C
        cosine_CH = self.items_CD @ self.history_HD.T
        n_near = min(NEAR, cosine_CH.shape[1])
        near_CN = -np.partition(-cosine_CH, n_near - 1, axis=1)[:, :n_near]
        return near_CN.max(axis=1), near_CN.mean(axis=1), cosine_CH.mean(axis=1)


def popularity_of(n_users_I: NDArray[np.integer]) -> NDArray[np.float32]:
    """log(1 + users of an item over the mean of the items that have any), [I]; 0 for an item without users."""
    known = n_users_I[n_users_I > 0]
    mean = known.mean() if len(known) else 1.0
    return np.log1p(n_users_I / mean).astype(np.float32)


def _length(vector_D: NDArray[np.floating]) -> float:
    """Length of a vector; 1 where it is 0, since it is a divisor."""
    return float(np.linalg.norm(vector_D)) or 1.0
