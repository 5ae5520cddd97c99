"""Methods without training: what words, the frozen encoder, or chance alone can do."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.tfidf import fit_tfidf
from recsys.evaluation.cold_start import Task
from recsys.evaluation.words import joined, text_columns

# Shape suffixes: U users, C cold items, K list, D dimension.


def tfidf_centroid(items: pa.Table, interactions: pa.Table, cold: pa.Array, top: int) -> pa.Table:
    """The gate's TF-IDF centroid (bigrams, no stop words) on the same texts and training pairs.

    Args:
        items: item_id and columns of text.
        interactions: user_id, item_id.
        cold: ids of the candidates.
        top: length of the lists.

    Returns:
        user_id, item_id, rank.
    """
    words = [joined(items[name]) for name in text_columns(items).taken]
    texts = [" ".join(filter(None, row)) for row in zip(*words, strict=True)]
    users = sorted(pc.unique(interactions["user_id"]).to_pylist())
    row_of = {item: row for row, item in enumerate(items["item_id"].to_pylist())}
    cold_rows = np.array(sorted(row_of[item] for item in cold.to_pylist()))
    user_of = {user: row for row, user in enumerate(users)}
    u = np.array([user_of[user] for user in interactions["user_id"].to_pylist()])
    i = np.array([row_of[item] for item in interactions["item_id"].to_pylist()])
    kept = ~np.isin(i, cold_rows)
    interactions_UI = csr_array((np.ones(kept.sum()), (u[kept], i[kept])), shape=(len(users), len(texts)))
    interactions_UI.data[:] = 1
    warm = np.flatnonzero(interactions_UI.sum(axis=0))
    vectors = csr_array(fit_tfidf([texts[row] for row in warm]).encode(texts))
    scores = ((interactions_UI @ vectors) @ vectors[cold_rows].T).toarray()
    ids = np.array(items["item_id"].to_pylist(), object)
    return lists(tuple(users), ids[cold_rows], scores, top)


def encoder_centroid(task: Task, vectors_ID: NDArray[np.float32]) -> NDArray[np.floating]:
    """Scores [U, C]: inner product with the sum of the vectors of the user's items."""
    scores_UC: NDArray[np.floating] = (task.interactions.matrix_UI @ vectors_ID) @ vectors_ID[task.cold].T
    return scores_UC


def chance(task: Task, seed: int) -> NDArray[np.float64]:
    """Random scores [U, C]. Popularity would be no better, since cold items have none."""
    return np.random.default_rng(seed).random((len(task.users), len(task.cold)))


def lists(
    users: Sequence[str], cold_ids: NDArray[np.object_], scores_UC: NDArray[np.floating], top: int
) -> pa.Table:
    """Ranked lists as the judge reads them; ties go to the smaller row.

    Args:
        users: ids of the rows.
        cold_ids: ids of the columns.
        scores_UC: higher is better.
        top: length of the lists; all cold items where there are fewer.

    Returns:
        user_id, item_id, rank (1 = best).
    """
    best_UK = np.argsort(-scores_UC, axis=1, kind="stable")[:, :top]
    length = best_UK.shape[1]
    return pa.table(
        {
            "user_id": pa.array(np.repeat(np.array(users, object), length)),
            "item_id": pa.array(cold_ids[best_UK].ravel()),
            "rank": pa.array(np.tile(np.arange(1, length + 1), len(users))),
        }
    )


def plain_blend(task: Task, vectors_ID: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """The gate's plain blend of the TF-IDF centroid and ridge users, λ chosen as for the ridge alone.

    Args:
        task: the task.
        vectors_ID: the frozen encoder's.

    Returns:
        Scores [U, C], and λ.
    """
    from bench.rivals.choosing import choose_ridge
    from bench.rivals.methods import VALIDATION_SEED
    from recsys.dataset.dataset import Dataset
    from recsys.ranking.plain_blend import plain_blend as learn

    ridge_lambda = choose_ridge(task, vectors_ID, VALIDATION_SEED).settings["ridge_lambda"]
    known = Dataset(task.interactions, task.texts, vectors_ID, ridge_lambda, VALIDATION_SEED)
    return learn(known).scores(np.arange(len(task.users)), task.cold), ridge_lambda
