"""What a head is to remember of the texts that people met: factors of who met what, shorter where few did.

With H the histories, the rows of V in the truncated decomposition of (D_u + 1)^-1/2 H (D_i + 1)^-1/2 = U S Vᵀ place
items that the same people met side by side. The ones keep people of a single item from having factors of their own:
without them each such pair has the largest singular value there is. At the length weight · n / (n + half) they join the
profile: an item that nobody met is all text, one that many met is also where its readers put it. Ridge users learn from
both at once, in closed form.

Papers: Ning & Karypis 2011 and Steck 2019 (closed-form item models, which this keeps to one inner product of stated
width); Amini, Chen, Bickel & Levina 2013 (the regularised Laplacian); Halko, Martinsson & Tropp 2011 (the
decomposition).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, diags_array

from recsys.encoders.memory import Memory, digests
from recsys.fusion.exams import Shop
from recsys.fusion.params import FusionParams
from recsys.fusion.smoothing import n_factors

RANK_TOLERANCE = 1e-6
# Shape suffixes: U users, M landmarks, T distinct texts, F dimensions.


def learn_memory(
    shop: Shop, landmarks: NDArray[np.int64], weight: float, params: FusionParams
) -> Memory | None:
    """Remember the landmarks' texts.

    Args:
        shop: what may be learned from.
        landmarks: item rows.
        weight: length of a text that very many met.
        params: section `fusion`.

    Returns:
        The memory; None where there is nothing to remember: weight 0, or a single item or user.
    """
    from sklearn.utils.extmath import randomized_svd

    digests_T, text_M = np.unique(digests([shop.texts[row] for row in landmarks]), return_inverse=True)
    histories_UM = csr_array(shop.histories_UI[:, landmarks])
    # items with the same text are one text, met by everybody who met one of them
    same_MT = csr_array((np.ones(len(text_M)), (np.arange(len(text_M)), text_M)))
    histories_UT = csr_array(histories_UM @ same_MT)
    histories_UT.data[:] = 1
    width = min(n_factors(params.memory_factors, histories_UT.shape, params), len(digests_T) - 1)
    if weight == 0 or width < 1 or histories_UT.shape[0] < 2:
        return None
    n_T, n_U = histories_UT.sum(axis=0), histories_UT.sum(axis=1)
    scaled_UT = diags_array((n_U + 1) ** -0.5) @ histories_UT @ diags_array((n_T + 1) ** -0.5)
    _, values_F, factors_FT = randomized_svd(csr_matrix(scaled_UT), width, random_state=params.seed)
    factors_FT = factors_FT[values_F > RANK_TOLERANCE * values_F[0]]  # below lies rounding
    lengths_T = np.maximum(np.linalg.norm(factors_FT, axis=0), np.finfo(np.float32).tiny)
    wanted_T = weight * n_T / (n_T + params.memory_half)
    return Memory(digests_T, np.ascontiguousarray((factors_FT * (wanted_T / lengths_T)).T, np.float32))
