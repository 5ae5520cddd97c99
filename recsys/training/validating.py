"""Validate profiles on the validation slice, whose items are cold in training."""

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.users import Ridge, gram_of
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
) -> tuple[float, float] | None:
    """Rank all held-out items for every user who interacted with one, by ridge users as in a release.

    Args:
        training_set: histories hold no held-out item.
        vectors_ID: profiles of all items, unit rows.
        ridge_lambda: λ.
        k: cutoff; at most the number of held-out items.
        max_users: the most users; a sample where there are more.
        seed: of the sample.

    Returns:
        Mean ndcg@k and recall@k; None where no user with a history interacted with a held-out item.
    """
    held, fit = training_set.held_rows, training_set.fit_rows
    task = make_task("cold", held, training_set.fit, training_set.held.matrix_UI, max_users, seed)
    if not len(task.users):
        return None
    ridge = Ridge(gram_of(vectors_ID[fit]), ridge_lambda)
    k = min(k, len(held))
    ranked_UK = rank(RidgeUsers(ridge, vectors_ID, training_set.fit_UI, fit), task.users, held, k).rows_UK
    ndcg, recall = (metric(ranked_UK, task.relevant_UR, k) for metric in (ndcg_at_k, recall_at_k))
    return float(ndcg.mean()), float(recall.mean())
