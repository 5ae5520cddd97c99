"""Held-out opinions beside a ranking task: how much each relevant item is worth to its user, and what is disliked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD, padded
from recsys.dataset.interactions import Interactions
from recsys.ranking.tasks import RankingTask

# Shape suffixes: U users, I items, R padded relevant items, E padded disliked items.


@dataclass(frozen=True)
class HeldOpinions:
    """Opinions of a task's users on its candidates."""

    gains_UR: NDArray[np.float64]
    """Gain of each relevant item of the task, above 0; 0 under PAD."""
    disliked_UE: NDArray[np.int64]
    """Item rows; PAD on the right."""


def held_opinions(task: RankingTask, held: Interactions, low_grade: float) -> HeldOpinions | None:
    """Look up what a task's users think of its candidates.

    Args:
        task: with users and relevant items out of `held`.
        held: held-out likes and dislikes.
        low_grade: a like of this grade or lower counts as a dislike: the lowest share of all values of its event.

    Returns:
        The opinions; None where nothing but yes is known.
    """
    if held.strengths_P is None and held.dislikes is None:
        return None
    grades_UI = csr_array(held.grades()[task.users])
    rows_UR = np.broadcast_to(np.arange(len(task.users))[:, None], task.relevant_UR.shape)
    is_real_UR = task.relevant_UR != PAD
    gains_UR = np.zeros(task.relevant_UR.shape)
    gains_UR[is_real_UR] = grades_UI[rows_UR[is_real_UR], task.relevant_UR[is_real_UR]]
    low_UR = is_real_UR & (gains_UR <= low_grade) & (held.strengths_P is not None)
    disliked_UI = csr_array(
        (np.ones(low_UR.sum()), (rows_UR[low_UR], task.relevant_UR[low_UR])), shape=grades_UI.shape
    )
    if held.dislikes is not None:
        is_candidate_I = np.zeros(grades_UI.shape[1], bool)
        is_candidate_I[task.candidates] = True
        disliked_UI = disliked_UI + held.dislikes.only_items(is_candidate_I).matrix_UI[task.users]
    found_UI = csr_array(disliked_UI)
    found_UI.sort_indices()
    return HeldOpinions(gains_UR, padded(found_UI))
