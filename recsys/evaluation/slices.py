"""Slices of the holdout: cold items (no interaction before the cut), warm items, their head and tail, and all mixed."""

from recsys.evaluation.holdout import MIXED, Holdout
from recsys.ranking.tasks import RankingTask, make_task

SLICES = ("cold", "warm", MIXED)
"""Each has candidates of its own. Lists of `mixed` are those that users see."""


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
