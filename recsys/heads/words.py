"""Separate dimensions for words: how they approximate TF-IDF rows, and how much they count.

Ridge regression over words and meaning together would remove from the words what the meaning already explains, and what
all items share. It learns both from older items, and generalises to newer ones less well than the plain sum of two
scores. So words get dimensions of their own, in which a user is a plain sum (`recsys/profiles/ridge.py`). They are
scaled so that a user's scores by words and by meaning have the same standard deviation, times a weight.

Paper: Deerwester et al. 1990, Indexing by Latent Semantic Analysis.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.dataset.histories import sums
from recsys.profiles.ridge import Ridge

# Shape suffixes: U users, M landmarks, V terms, W dimensions of words, S sampled warm items, D dimensions of meaning.
RANK_TOLERANCE = 1e-4
SAMPLED_ITEMS = 1000
SAMPLED_USERS = 500


def words_projection(words_MV: csr_array, width: int, seed: int) -> NDArray[np.float32]:
    """Learn the matrix that maps a text's TF-IDF cosines with the landmarks to its separate word dimensions.

    Args:
        words_MV: TF-IDF rows of the landmarks.
        width: the most dimensions; there are fewer where the rows span fewer.
        seed: of the randomised singular vectors.

    Returns:
        projection_MW.
    """
    from sklearn.utils.extmath import randomized_svd

    left_MW, sizes_W, _ = randomized_svd(
        words_MV, min(width, *words_MV.shape), n_oversamples=width // 8 + 10, n_iter=4, random_state=seed
    )
    real = sizes_W > RANK_TOLERANCE * sizes_W[0]
    return np.asarray(left_MW[:, real] / sizes_W[real], np.float32)


def words_ratio(
    known_UW: csr_array,
    words_WW: NDArray[np.float32],
    meaning_WD: NDArray[np.float32],
    ridge: Ridge,
    seed: int,
) -> float:
    """The factor that gives a user's scores by words the same standard deviation as the scores by meaning.

    Args:
        known_UW: 1 where a user interacted with a warm item.
        words_WW: words of the warm items.
        meaning_WD: their other dimensions, unit rows.
        ridge: the users' metric in these dimensions.
        seed: samples users and items.

    Returns:
        A mean over users; 0 where words do not distinguish the items.
    """
    rng = np.random.default_rng(seed)
    users = np.flatnonzero(np.diff(known_UW.indptr))
    users = np.sort(rng.permutation(users)[:SAMPLED_USERS])
    items = np.sort(rng.permutation(len(words_WW))[:SAMPLED_ITEMS])
    known = csr_array(known_UW[users])
    by_words = (sums(known, words_WW) @ words_WW[items].T).std(axis=1).mean()
    by_meaning = (ridge.weights(sums(known, meaning_WD)) @ meaning_WD[items].T).std(axis=1).mean()
    return float(by_meaning / by_words) if by_words > 0 else 0.0


def share_of(ratio: float, ridge_lambda: float) -> float:
    """The share of a profile's squared length by which words count `ratio` times their plain sum.

    With share s for words and the users' λ times 1 - s, the score of the words is s / (λ (1 - s)) times their plain
    sum, and the score of the meaning is what it would be without words.

    Args:
        ratio: > 0.
        ridge_lambda: λ without words.

    Returns:
        s in (0, 1).
    """
    return ratio * ridge_lambda / (1 + ratio * ridge_lambda)
