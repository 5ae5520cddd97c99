"""Slices of the holdout: cold items (no interaction before the cut), warm items, their head and tail, and all mixed."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import PAD
from recsys.evaluation.holdout import MIXED, Holdout
from recsys.ranking.tasks import RankingTask, make_task

# Shape suffixes: U users, R padded relevant items, I items.
SLICES = ("cold", "warm", MIXED)
"""Each has candidates of its own. Lists of `mixed` are those that users see."""
WARM_PARTS = ("head", "tail")
"""Parts of the warm slice, with the same lists: relevant are items with many, or few, users before the cut."""


def slice_of(holdout: Holdout, name: str, max_users: int, seed: int) -> RankingTask:
    """Make the task of one slice.

    Args:
        holdout: the holdout.
        name: cold, warm or mixed.
        max_users: the most users; a sample where there are more.
        seed: of the sample.

    Returns:
        The slice's judged items as candidates, for users who interacted with one after the cut.
    """
    known, test_UI = holdout.known.interactions, holdout.test.matrix_UI
    return make_task(name, holdout.candidates(name), known, test_UI, max_users, seed)


def head_and_tail(holdout: Holdout, warm: RankingTask, head_share: float) -> tuple[RankingTask, RankingTask]:
    """Divide the warm slice's relevant items by popularity. Candidates and lists stay the same.

    Args:
        holdout: the holdout.
        warm: its warm slice.
        head_share: share of the warm candidates, those with the most users before the cut, that is the head.

    Returns:
        Head and tail; each holds the users who interacted with such an item after the cut.
    """
    is_head_I = np.zeros(len(holdout.item_ids), bool)
    # rows are in the order of a hash: equal counts favour no kind of item
    is_head_I[holdout.known.interactions.head(warm.candidates, head_share)] = True
    is_real_UR = warm.relevant_UR != PAD
    in_head_UR = is_head_I[warm.relevant_UR]
    return _only(warm, "head", is_real_UR & in_head_UR), _only(warm, "tail", is_real_UR & ~in_head_UR)


def _only(whole: RankingTask, name: str, kept_UR: NDArray[np.bool_]) -> RankingTask:
    """The slice with only some of its relevant items, and the users who have one."""
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
