"""Inputs of every learned rival: content of items, collaborative factors of warm items and users, interactions.

Text content is the frozen encoder's vector joined with TF-IDF, reduced by SVD to 300 dimensions as DropoutNet and
Heater reduce theirs (on validation as good as 384 + 300 dimensions side by side, and cheaper). Collaborative factors
are weighted matrix factorisation (Hu, Koren, Volinsky, ICDM 2008) by `implicit`, with the settings in the name of
DropoutNet's own file of factors (rank 200, λ 1, α 10, 10 iterations). Both are learned from `known` items only, and
scaled as both papers' code scales them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.encoders.tfidf import fit_tfidf
from recsys.evaluation.cold_start import Task

# Shape suffixes: U users, I all items, W known (warm) items, C asked (cold) items, D encoder, P content, F factors.
SVD_DIMENSIONS = 300
FACTORS = 200
ALS_REGULARISATION = 1.0
ALS_ALPHA = 10.0
ALS_ITERATIONS = 10
CAP = 5.0
"""Standardised values are cut at this many standard deviations."""
SMALLEST = 1e-5


@dataclass(frozen=True)
class Inputs:
    """One learning task: known items with interactions, and cold items with content only."""

    interacted_UW: csr_array
    """1 where a user interacted with a known item."""
    content_WP: NDArray[np.float32]
    asked_CP: NDArray[np.float32]
    users_UF: NDArray[np.float32]
    """Collaborative factors as `implicit` gives them; zero for users without a history."""
    items_WF: NDArray[np.float32]

    @cached_property
    def dense_UW(self) -> NDArray[np.bool_]:
        """`interacted_UW` as a dense array."""
        dense: NDArray[np.bool_] = self.interacted_UW.astype(bool).toarray()
        return dense


def make_inputs(
    task: Task, vectors_ID: NDArray[np.float32], known: NDArray[np.int64], asked: NDArray[np.int64], seed: int
) -> Inputs:
    """Learn features and factors from the known items.

    Args:
        task: texts and histories.
        vectors_ID: the frozen encoder's, of all items.
        known: rows of the items whose interactions may be used.
        asked: rows of the cold items, to rank.
        seed: of SVD and ALS.

    Returns:
        The inputs.
    """
    interacted_UW = csr_array(task.interactions.matrix_UI[:, known])
    content_WP, asked_CP = _content(task.texts, vectors_ID, known, asked, seed)
    users_UF, items_WF = _factors(interacted_UW, seed)
    return Inputs(interacted_UW, content_WP, asked_CP, users_UF, items_WF)


def standardised(
    learned_NF: NDArray[np.float32], *others_MF: NDArray[np.float32], cap: float = CAP
) -> list[NDArray[np.float32]]:
    """Mean 0 and deviation 1 per column, cut at ± cap; rows of zeros (no factors) teach nothing and stay zero.

    Args:
        learned_NF: where means and deviations are learned.
        others_MF: scaled alike.
        cap: in standard deviations.

    Returns:
        All of them scaled, in order.
    """
    present = learned_NF[learned_NF.any(axis=1)].astype(np.float64)
    mean_F, deviation_F = present.mean(axis=0), present.std(axis=0)
    deviation_F[deviation_F == 0] = 1.0
    scaled = []
    for one in (learned_NF, *others_MF):
        value = np.clip((one - mean_F) / deviation_F, -cap, cap)
        value[np.abs(value) < SMALLEST] = 0
        value[~one.any(axis=1)] = 0
        scaled.append(value.astype(np.float32))
    return scaled


def _content(
    texts: tuple[str, ...],
    vectors_ID: NDArray[np.float32],
    known: NDArray[np.int64],
    asked: NDArray[np.int64],
    seed: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.decomposition import TruncatedSVD

    tfidf = fit_tfidf([texts[row] for row in known])
    known_joined, asked_joined = (
        csr_matrix(hstack([csr_matrix(vectors_ID[rows]), tfidf.encode([texts[row] for row in rows])]))
        for rows in (known, asked)
    )
    svd = TruncatedSVD(min(SVD_DIMENSIONS, *(n - 1 for n in known_joined.shape)), n_iter=5, random_state=seed)
    learned_WP = svd.fit_transform(known_joined).astype(np.float32)
    content_WP, asked_CP = standardised(learned_WP, svd.transform(asked_joined).astype(np.float32))
    return content_WP, asked_CP


def _factors(interacted_UW: csr_array, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = AlternatingLeastSquares(
            factors=FACTORS,
            regularization=ALS_REGULARISATION,
            alpha=ALS_ALPHA,
            iterations=ALS_ITERATIONS,
            num_threads=1,
            random_state=seed,
        )
        model.fit(csr_matrix(interacted_UW, dtype=np.float32), show_progress=False)
    users_UF, items_WF = np.array(model.user_factors), np.array(model.item_factors)
    users_UF[np.diff(interacted_UW.indptr) == 0] = 0
    return users_UF, items_WF
