"""Head and tail of lists of warm items, and what the tail may lose. Validation, judging and the gate share both."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD
from recsys.dataset.interactions import Interactions
from recsys.ranking.intervals import Interval, bootstrap
from recsys.ranking.tasks import RankingTask

# Shape suffixes: U users, R padded relevant items, I items.
HEAD, TAIL = "head", "tail"


@dataclass(frozen=True)
class TailRule:
    """What a challenger's tail may lose: by this the gate decides, and validation chooses what will pass it."""

    head_share: float
    """Share of the warm items, those with the most users, that is the head."""
    max_loss: float
    """How far the lower end of the paired interval of the change in ndcg@k may be below 0."""
    bootstrap_rounds: int
    seed: int
    """Of the resampling."""

    def change(self, ours_U: NDArray[np.float64], theirs_U: NDArray[np.float64]) -> Interval:
        """The interval of the change in a metric of the tail, over the same users."""
        return bootstrap((ours_U - theirs_U)[:, None], self.bootstrap_rounds, self.seed)[0]


def head_and_tail(
    known: Interactions, warm: RankingTask, head_share: float
) -> tuple[RankingTask, RankingTask]:
    """Divide the relevant items of lists of warm items by popularity. Candidates and lists stay the same.

    Args:
        known: what may be learned from; its users are counted.
        warm: ranks warm items.
        head_share: share of the candidates, those with the most users, that is the head.

    Returns:
        Head and tail; each holds the users with such a relevant item.
    """
    is_head_I = np.zeros(len(known.item_ids), bool)
    # rows are in the order of a hash: equal counts favour no kind of item
    is_head_I[known.head(warm.candidates, head_share)] = True
    is_real_UR = warm.relevant_UR != PAD
    in_head_UR = is_head_I[warm.relevant_UR]
    return _only(warm, HEAD, is_real_UR & in_head_UR), _only(warm, TAIL, is_real_UR & ~in_head_UR)


def _only(whole: RankingTask, name: str, kept_UR: NDArray[np.bool_]) -> RankingTask:
    """The task with only some of its relevant items, and the users who have one."""
    order_UR = np.argsort(~kept_UR, axis=1, kind="stable")  # PAD stays on the right
    relevant_UR = np.take_along_axis(np.where(kept_UR, whole.relevant_UR, PAD), order_UR, axis=1)
    some = np.flatnonzero(kept_UR.any(axis=1))
    return replace(
        whole,
        name=name,
        users=whole.users[some],
        relevant_UR=relevant_UR[some],
        excluded_UE=whole.excluded_UE[some],
    )
