"""One bit per number of a rotated vector: its sign. Vectors are then compared 32 times as cheaply as in float32.

After the rotation (`rotation.py`) all numbers of a unit vector are about as large, so their signs hold most of what
orders vectors: the more signs two vectors share, the smaller the angle between them. The more numbers there are, the
less the errors of each count. Signs alone find candidates. Against the query's own numbers they order them better, and
the vectors themselves, which are read for the best of these, decide.

Source: Charikar 2002, STOC, for signs; Gao and Long 2024, RaBitQ (SIGMOD), for comparing them with a whole query.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N vectors, D dimension, B bytes of their signs, R some rows.
BITS = 8
"""Signs in a byte."""
WORD = 8
"""Bytes that a processor compares at once: of whole words faiss counts differing signs faster."""
LARGEST = 127
"""A query's numbers are rounded to whole ones from -127 to 127."""


def n_bytes(dim: int) -> int:
    """Bytes that the signs of a vector take."""
    return -(-dim // BITS)


def signs_of(turned_ND: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Signs of rotated vectors.

    Args:
        turned_ND: rows made by `rotated`.

    Returns:
        signs_NB: a bit is 1 above 0; bits beyond D are 0.
    """
    return np.packbits(turned_ND > 0, axis=1)


def differing(signs_B: NDArray[np.uint8], signs_RB: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the signs in which each of some vectors differs from a query.

    Args:
        signs_B: of the query.
        signs_RB: of the vectors, at least one.

    Returns:
        Numbers of signs, [R].
    """
    counted_1R = np.asarray(_load().cdist(signs_B[None], signs_RB, metric="hamming", dtype="uint1"))
    counted_R: NDArray[np.int64] = counted_1R[0].astype(np.int64)
    return counted_R


def agreeing(turned_D: NDArray[np.float32], signs_RB: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How well the signs of some vectors agree with the numbers of a query.

    Args:
        turned_D: the query, rotated.
        signs_RB: of the vectors, at least one.

    Returns:
        Inner products of the query with -1 and 1, without a term that is the same for all vectors: [R]. They order
        vectors about as inner products with the vectors themselves do.
    """
    step = float(np.abs(turned_D).max()) / LARGEST or 1.0
    whole_D = np.round(turned_D / np.float32(step)).astype(np.int8)
    bits_RD = np.unpackbits(signs_RB, axis=1, count=len(turned_D)).view(np.int8)
    summed_1R = np.asarray(_load().cdist(whole_D[None], bits_RD, metric="dot"))
    agreeing_R: NDArray[np.float64] = 2 * step * summed_1R[0].astype(np.float64)
    return agreeing_R


def _load() -> Any:  # noqa: ANN401  untyped library
    """Import numkong, which compares whole numbers and bits by the widest instructions of the processor."""
    import numkong

    return numkong
