"""Slices of the holdout: cold items (no interaction before the cut), warm ones, their head and tail, and both mixed."""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import PAD, padded, sample
from recsys.evaluation.holdout import MIXED, Holdout

# Shape suffixes: U users, R padded relevant items, E padded excluded items, I items.
SLICES = ("cold", "warm", MIXED)
"""Each with candidates of its own; mixed are the lists that a shop shows."""
WARM_PARTS = ("head", "tail")
"""Of the warm slice, over the same lists: how often the items that many, or few, had met before the cut are found."""


@dataclass(frozen=True)
class Slice:
    """One question to all models: rank these candidates for these users."""

    name: str
    candidates: NDArray[np.int64]
    """Item rows, ascending: all judged items of the slice."""
    users: NDArray[np.int64]
    """User rows with something relevant among the candidates."""
    relevant_UR: NDArray[np.int64]
    """Item rows that they met after the cut; PAD on the right."""
    exclude_UE: NDArray[np.int64]
    """Item rows that they had met before; PAD on the right."""


def slice_of(holdout: Holdout, name: str, max_users: int, seed: int) -> Slice:
    """Cut one slice; where there are more test users than `max_users`, a seeded sample of them.

    Args:
        holdout: the whole.
        name: cold, warm or mixed.
        max_users: largest number of users.
        seed: of the sample.

    Returns:
        The slice; without users where nobody met such an item after the cut.
    """
    candidates = holdout.candidates(name)
    relevant_UI = holdout.test.matrix_UI[:, candidates].tocsr()
    users = sample(np.flatnonzero(np.diff(relevant_UI.indptr)), max_users, seed)
    known_UI = holdout.known.interactions.matrix_UI[:, candidates].tocsr()
    return Slice(
        name,
        candidates,
        users,
        _rows(relevant_UI[users], candidates),
        _rows(known_UI[users], candidates),
    )


def head_and_tail(holdout: Holdout, warm: Slice, head_share: float) -> tuple[Slice, Slice]:
    """Divide the warm slice's positives by the popularity of the items; candidates and lists stay the same.

    Args:
        holdout: the whole.
        warm: its warm slice.
        head_share: share of the warm candidates, those met most before the cut, that are the head.

    Returns:
        Head and tail; each holds the users who met such an item after the cut.
    """
    n_met_C = holdout.known.interactions.n_users_I[warm.candidates]
    by_popularity = np.argsort(
        -n_met_C, kind="stable"
    )  # rows are in hashed order: ties fall to no kind of item
    is_head_I = np.zeros(len(holdout.item_ids), bool)
    is_head_I[warm.candidates[by_popularity[: ceil(head_share * len(warm.candidates))]]] = True
    is_real_UR = warm.relevant_UR != PAD
    in_head_UR = is_head_I[warm.relevant_UR]
    return _only(warm, "head", is_real_UR & in_head_UR), _only(warm, "tail", is_real_UR & ~in_head_UR)


def _only(whole: Slice, name: str, kept_UR: NDArray[np.bool_]) -> Slice:
    """The slice with only some of its positives, and the users who have one."""
    order_UR = np.argsort(~kept_UR, axis=1, kind="stable")  # PAD stays on the right
    relevant_UR = np.take_along_axis(np.where(kept_UR, whole.relevant_UR, PAD), order_UR, axis=1)
    some = np.flatnonzero(kept_UR.any(axis=1))
    return replace(
        whole,
        name=name,
        users=whole.users[some],
        relevant_UR=relevant_UR[some],
        exclude_UE=whole.exclude_UE[some],
    )


def _rows(matrix_UC: csr_array, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
    """Columns that are set in each row, as item rows, ascending; PAD on the right."""
    matrix_UC.sort_indices()
    places_UR = padded(matrix_UC)
    return np.where(places_UR == PAD, PAD, candidates[places_UR])
