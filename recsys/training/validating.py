"""Validate profiles on the validation slice, whose items are cold in training, and on older items."""

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.gram import gram_of
from recsys.profiles.ridge import Ridge
from recsys.ranking.dot import RidgeUsers
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.ranking.tasks import make_task, rank
from recsys.training.data import TrainingSet

# Shape suffixes: I items, D dimension.


def validate(
    training_set: TrainingSet,
    vectors_ID: NDArray[np.float32],
    ridge_lambda: float,
    k: int,
    max_users: int,
    seed: int,
    rows: NDArray[np.int64] | None = None,
) -> tuple[float, float] | None:
    """Rank some items for every user who interacted with one, by ridge users as in a release.

    Args:
        training_set: histories hold none of the items.
        vectors_ID: profiles of all items, unit rows.
        ridge_lambda: λ.
        k: cutoff; at most the number of these items.
        max_users: the most users; a sample where there are more.
        seed: of the sample.
        rows: items to rank, which count as cold here; None: the validation slice.

    Returns:
        Mean ndcg@k and recall@k; None where no user with a history interacted with one of the items.
    """
    rows = training_set.held_rows if rows is None else rows
    known = training_set.fit.without(rows)
    task = make_task("cold", rows, known, training_set.interactions.matrix_UI, max_users, seed)
    if not len(task.users):
        return None
    fit, k = np.setdiff1d(training_set.fit_rows, rows), min(k, len(rows))
    ridge = Ridge(gram_of(vectors_ID, fit), ridge_lambda)
    known_UI = known.matrix_UI.astype(np.float32)
    ranked_UK = rank(RidgeUsers(ridge, vectors_ID, known_UI, fit), task.users, rows, k).rows_UK
    ndcg, recall = (metric(ranked_UK, task.relevant_UR, k) for metric in (ndcg_at_k, recall_at_k))
    return float(ndcg.mean()), float(recall.mean())
