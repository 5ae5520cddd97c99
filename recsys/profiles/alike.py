"""Count a like less where the user's other likes resemble it: ten films of one series are not ten tastes.

A like counts 1 / s**p. Here s is the sum of the cosines between its profile and those of all likes of the user, itself
included, and at least 1: what nothing resembles counts in full. The first number of profiles is left out where it says
nothing about an item (`completion.py`): it would make all likes alike. The factors are scaled to the mean 1, so that a
user's sum of profiles keeps its size. p is `Weighting.alike`; 0: all likes count the same.

Ridge regression does some of this: it lowers directions that many items share. But it does so for all users alike, and
what one user likes again and again need not be common.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.profiles.completion import n_completing
from recsys.storage.arrays import rows_of

# Shape suffixes: U users, I items, L likes of one user, D dimensions.


def alike_factors(
    likes_LD: NDArray[np.floating], power: float, lexical_width: int = 0
) -> NDArray[np.float64]:
    """Factors on the likes of one user.

    Args:
        likes_LD: their profiles, unit rows.
        power: p.
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        Above 0, with the mean 1, [L].
    """
    if power == 0 or len(likes_LD) == 0:
        return np.ones(len(likes_LD))
    exact_LD = likes_LD[:, n_completing(lexical_width) :].astype(np.float64)
    counts_L = np.maximum(exact_LD @ exact_LD.sum(axis=0), 1) ** -power
    return np.asarray(counts_L / counts_L.mean())


def with_alike(
    counted_UI: csr_array,
    likes_UI: csr_array,
    vectors_ID: NDArray[np.floating],
    power: float,
    lexical_width: int = 0,
) -> csr_array:
    """What counts of some users, with the factors on their likes.

    Args:
        counted_UI: how much each opinion counts.
        likes_UI: the likes among them; the same array where there are no other opinions.
        vectors_ID: profiles of all items, unit rows; may be mapped.
        power: p.
        lexical_width: of the profiles, see `HeadReference.lexical_width`.

    Returns:
        Opinions that are no likes count as before; the same array where p is 0.
    """
    if power == 0:
        return counted_UI
    more_UI = csr_array(likes_UI, dtype=np.float64, copy=True)
    for start, stop in zip(more_UI.indptr[:-1], more_UI.indptr[1:], strict=True):
        likes_LD = rows_of(vectors_ID, more_UI.indices[start:stop])
        more_UI.data[start:stop] = alike_factors(likes_LD, power, lexical_width) - 1
    return csr_array(counted_UI + counted_UI.multiply(more_UI))
