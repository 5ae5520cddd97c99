"""A fixed rotation that spreads what vectors hold evenly over their dimensions.

Profiles hold most in some dimensions and little in others, so one step of rounding fits none of them. After the
rotation every number of a unit vector is about as large, 1 / √d, whatever the data: 4 bits of each then order items
almost as well as the numbers themselves, and a quantiser needs no training.

Inner products stay the same: half of the signs are turned, by a fixed rule, and a cosine transform follows, which is
orthogonal.

Source: Ailon and Chazelle 2009, SIAM J. Comput. 39(1), for random signs before a fast transform.
"""

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N vectors, D dimension.
SIGNS_FROM = b"firstlight rotation 1"
"""The signs are bits of its hash: index files depend on them."""


def rotated(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rotate vectors.

    Args:
        vectors_ND: rows.

    Returns:
        rotated_ND, float32; the inner product of two rows is that of the originals, but for rounding. A single row
        cannot be written to: a list for a user rotates the same query up to four times, so the last ones are kept.
    """
    if len(vectors_ND) == 1 and vectors_ND.dtype == np.float32:
        return _rotated_query(vectors_ND.tobytes())
    return _transformed(vectors_ND)


@lru_cache(maxsize=16)
def _rotated_query(query: bytes) -> NDArray[np.float32]:
    turned_1D = _transformed(np.frombuffer(query, np.float32)[None])
    turned_1D.flags.writeable = False
    return turned_1D


def _transformed(vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy.fft import dct

    turned_ND: NDArray[np.float32] = dct(vectors_ND * _signs(vectors_ND.shape[1]), norm="ortho", axis=1)
    return turned_ND


@lru_cache(maxsize=8)
def _signs(dim: int) -> NDArray[np.float32]:
    bits = np.frombuffer(hashlib.shake_256(SIGNS_FROM).digest(-(-dim // 8)), np.uint8)
    signs_D: NDArray[np.float32] = 1 - 2 * np.unpackbits(bits)[:dim].astype(np.float32)
    return signs_D
