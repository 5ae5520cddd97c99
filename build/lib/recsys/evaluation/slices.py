"""Slices of the holdout: cold items (no interaction before the cut), warm ones, their head and tail, and both mixed."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD
from recsys.evaluation.holdout import MIXED, Holdout
from recsys.ranking.tasks import RankingTask, make_task

# Shape suffixes: U users, R padded relevant items, I items.
SLICES = ("cold", "warm", MIXED)
"""Each with candidates of its own; mixed are the lists that users see."""
WARM_PARTS = ("head", "tail")
"""Of the warm slice, over the same lists: how often the items with many, or few, users before the cut are found."""


def slice_of(holdout: Holdout, name: str, max_users: int, seed: int) -> RankingTask:
    """Cut one slice; where there are more test users than `max_users`, a seeded sample of them.

    Args:
        holdout: the whole.
        name: cold, warm or mixed.
        max_users: largest number of users.
        seed: of the sample.

    Returns:
        All judged items of the slice for all users who interacted with one after the cut; without users where nobody
        did.
    """
    known, test_UI = holdout.known.interactions, holdout.test.matrix_UI
    return make_task(name, holdout.candidates(name), known, test_UI, max_users, seed)


def head_and_tail(holdout: Holdout, warm: RankingTask, head_share: float) -> tuple[RankingTask, RankingTask]:
    """Divide the warm slice's positives by the popularity of the items; candidates and lists stay the same.

    Args:
        holdout: the whole.
        warm: its warm slice.
        head_share: share of the warm candidates, those with most users before the cut, that are the head.

    Returns:
        Head and tail; each holds the users who interacted with such an item after the cut.
    """
    is_head_I = np.zeros(len(holdout.item_ids), bool)
    # rows are in hashed order: ties fall to no kind of item
    is_head_I[holdout.known.interactions.head(warm.candidates, head_share)] = True
    is_real_UR = warm.relevant_UR != PAD
    in_head_UR = is_head_I[warm.relevant_UR]
    return _only(warm, "head", is_real_UR & in_head_UR), _only(warm, "tail", is_real_UR & ~in_head_UR)


def _only(whole: RankingTask, name: str, kept_UR: NDArray[np.bool_]) -> RankingTask:
    """The slice with only some of its positives, and the users who have one."""
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
