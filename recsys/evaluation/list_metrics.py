"""Metrics of each user's list in one slice: relevance, and properties of the list such as diversity."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD
from recsys.evaluation.holdout import Holdout
from recsys.profiles.completion import directions
from recsys.ranking import metrics
from recsys.ranking.opinions import HeldOpinions, held_opinions
from recsys.ranking.tasks import RankingTask

# Shape suffixes: U users, I items, K list length, M metrics, D dimension.
FOUND = {
    "recall": metrics.recall_at_k,
    "ndcg": metrics.ndcg_at_k,
    "hit_rate": metrics.hit_rate_at_k,
    "mrr": metrics.mrr_at_k,
}
"""Metrics of relevance, for every holdout."""
GRADED = "graded_ndcg"
REGRET = "regret"
LISTED = ("diversity", "novelty", "new_share")
"""Metrics of the lists themselves."""
BLOCK_USERS = 100
"""Lists compared at once; bounds memory."""


@dataclass(frozen=True)
class ListJudge:
    """Judges lists of one slice. Every model is judged by the same profiles, popularity and opinions."""

    part: RankingTask
    k: int
    opinions: HeldOpinions | None
    """None where only likes without strengths are known: then there is neither graded ndcg nor regret."""
    vectors_ID: NDArray[np.float32]
    """The champion's profiles, by which the similarity of items is measured."""
    novelty_I: NDArray[np.float64]
    """Bits of surprise in each item."""
    is_cold_I: NDArray[np.bool_]
    lexical_width: int = 0
    """Of the profiles, see `HeadReference.lexical_width`."""

    @classmethod
    def of(cls, holdout: Holdout, part: RankingTask, k: int, low_grade: float) -> "ListJudge":
        """Make it for a slice.

        Args:
            holdout: with the champion's profiles.
            part: the slice.
            k: cutoff.
            low_grade: see `evaluate.low_grade`.

        Returns:
            The judge of its lists.
        """
        known = holdout.known.interactions
        shares_I = (known.n_users_I + 1) / (len(known.users) + 1)
        return cls(
            part,
            k,
            held_opinions(part, holdout.test, low_grade),
            holdout.known.vectors_ID,
            -np.log2(shares_I),
            holdout.slice_of_item == "cold",
            holdout.known.lexical_width,
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of `per_user`."""
        return (*FOUND, *([GRADED] if self.opinions else []), *LISTED)

    def per_user(self, ranked_UK: NDArray[np.int64]) -> NDArray[np.float64]:
        """Metrics of each user's list.

        Args:
            ranked_UK: item rows, best first; PAD where a list is short.

        Returns:
            metrics_UM. Diversity is one minus the mean cosine of two items of a list; novelty the mean of -log2 of the
            share of users who interacted with an item before the cut (each item counts one user more); new_share the
            share of places that hold cold items.

        Source: Castells, Hurley & Vargas 2015, Novelty and diversity in recommender systems, Recommender Systems
            Handbook, 2nd edition.
        """
        relevant_UR, shown_UK = self.part.relevant_UR, ranked_UK[:, : self.k]
        columns = [metric(ranked_UK, relevant_UR, self.k) for metric in FOUND.values()]
        if self.opinions:
            columns.append(metrics.graded_ndcg_at_k(ranked_UK, relevant_UR, self.opinions.gains_UR, self.k))
        is_shown_UK = shown_UK != PAD
        n_U = np.maximum(is_shown_UK.sum(axis=1), 1)
        columns.append(self._diversity(shown_UK))
        columns.append(np.where(is_shown_UK, self.novelty_I[shown_UK], 0.0).sum(axis=1) / n_U)
        columns.append((self.is_cold_I[shown_UK] & is_shown_UK).sum(axis=1) / n_U)
        return np.stack(columns, axis=1)

    def regret(self, ranked_UK: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Shown items per user: disliked ones, and those with a known opinion, [U, 2]; None without opinions."""
        if self.opinions is None:
            return None
        return metrics.regret_at_k(ranked_UK, self.part.relevant_UR, self.opinions.disliked_UE, self.k)

    def _diversity(self, shown_UK: NDArray[np.int64]) -> NDArray[np.float64]:
        """One minus the mean cosine of two items, from the length of the sum of their unit vectors; 0 for one item."""
        found_U = np.zeros(len(shown_UK))
        for start in range(0, len(shown_UK), BLOCK_USERS):
            rows_BK = shown_UK[start : start + BLOCK_USERS]
            profiles_BKD = self.vectors_ID[rows_BK].astype(np.float64)
            profiles_ND = profiles_BKD.reshape(-1, profiles_BKD.shape[-1])
            vectors_BKD = directions(profiles_ND, self.lexical_width).reshape(*rows_BK.shape, -1)
            vectors_BKD[rows_BK == PAD] = 0
            summed_BD = vectors_BKD.sum(axis=1)
            itself_B = (vectors_BKD**2).sum(axis=(1, 2))
            n_B = (rows_BK != PAD).sum(axis=1)
            alike_B = ((summed_BD**2).sum(axis=1) - itself_B) / np.maximum(n_B * (n_B - 1), 1)
            found_U[start : start + BLOCK_USERS] = np.where(n_B > 1, 1 - alike_B, 0.0)
        return found_U


def mean_regret(counts_U2: NDArray[np.float64] | None) -> Mapping[str, float]:
    """Regret: the share of disliked items among the shown ones with a known opinion; NaN without any."""
    if counts_U2 is None:
        return {}
    disliked, known = counts_U2.sum(axis=0).tolist()
    return {REGRET: disliked / known if known else float("nan")}
