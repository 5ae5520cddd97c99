"""How well profiles serve items that nobody has clicked: the validation slice, cold within training."""

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.histories import padded, sample
from recsys.profiles.users import Ridge, gram_of
from recsys.ranking.metrics import ndcg_at_k, recall_at_k
from recsys.retrieval.exact import best_of
from recsys.training.data import TrainingSet

# Shape suffixes: U users, I items, H held items, K list length, D dimension.


def validate(
    training_set: TrainingSet,
    vectors_ID: NDArray[np.float32],
    ridge_lambda: float,
    k: int,
    max_users: int,
    seed: int,
) -> tuple[float, float] | None:
    """Rank all held items for every user who met one, as a release would: by ridge user profiles.

    Args:
        training_set: histories hold no held item.
        vectors_ID: profiles of all items, unit rows.
        ridge_lambda: λ.
        k: cutoff; the number of held items where there are fewer.
        max_users: sampled by the seed where there are more.
        seed: of the sample.

    Returns:
        Mean ndcg@k and recall@k; None where no user with a history met a held item.
    """
    held, fit = training_set.held_rows, training_set.fit_rows
    asked_UH = training_set.held.matrix_UI[:, held]
    users = np.flatnonzero((np.diff(asked_UH.indptr) > 0) & (training_set.fit.n_items_U > 0))
    if len(users) == 0:
        return None
    users = sample(users, max_users, seed)
    ridge = Ridge(gram_of(vectors_ID[fit]), ridge_lambda)
    scores_UH = ridge.weights(training_set.fit_UI[users] @ vectors_ID) @ vectors_ID[held].T
    k = min(k, len(held))
    ranked_UK = best_of(scores_UH, k).rows_UK
    asked_UH = asked_UH[users]
    relevant_UR = padded(asked_UH)
    ndcg, recall = ndcg_at_k(ranked_UK, relevant_UR, k), recall_at_k(ranked_UK, relevant_UR, k)
    return float(ndcg.mean()), float(recall.mean())
