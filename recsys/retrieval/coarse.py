"""8-bit copies of some thousand vectors, which say which few of them can be the best for a query.

Copies and query are rounded to whole numbers from -127 to 127. Processors compute inner products of these several times
as fast as those of float32, and exactly. How far such a product can be from the true one follows from what rounding
took away, by the inequality of Cauchy and Schwarz. So what is left out cannot be among the best.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N vectors, D dimension, B some of the vectors, L those that are wanted.
LARGEST = 127
BLOCK_ROWS = 1024
"""Vectors that are rounded at once; bounds memory."""
FLOAT_NOISE = 1e-5
"""Of a length: what computing in float32 takes away besides."""
ROUNDING = 1e-6
"""Of what is added to a product: what adding it in float32 takes away."""


@dataclass(frozen=True)
class CoarseRows:
    """The copies, made by `of`."""

    whole_ND: NDArray[np.int8]
    """The rounded vectors."""
    scale_D: NDArray[np.float32]
    """A vector is its rounded one times this."""
    taken_N: NDArray[np.float64]
    """Length of what rounding took away from each."""
    length_N: NDArray[np.float64]
    """Of each rounded vector."""

    @classmethod
    def of(cls, vectors_ND: NDArray[np.float32]) -> Self:
        """Round vectors.

        Args:
            vectors_ND: unit rows, at least one.

        Returns:
            The copies; each number of a vector is off by at most 1/254 of the largest in its dimension.
        """
        largest_D = np.abs(vectors_ND).max(axis=0)
        is_normal_D = largest_D > LARGEST * np.finfo(np.float32).tiny  # else the scale would be 0
        scale_D = np.where(is_normal_D, largest_D / LARGEST, 1).astype(np.float32)
        whole_ND = np.empty(vectors_ND.shape, np.int8)
        taken_N, length_N = np.empty(len(vectors_ND)), np.empty(len(vectors_ND))
        for start in range(0, len(vectors_ND), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            rounded_BD = np.round(vectors_ND[part] / scale_D)
            whole_ND[part], length_N[part] = rounded_BD, _lengths(rounded_BD)
            taken_N[part] = _lengths(rounded_BD * scale_D - vectors_ND[part])
        return cls(whole_ND, scale_D, taken_N, length_N)

    def may_be_best(
        self,
        query_D: NDArray[np.float32],
        k: int,
        is_left_N: NDArray[np.bool_],
        factor_N: NDArray[np.floating],
        added_N: NDArray[np.floating],
        least: float = -np.inf,
    ) -> NDArray[np.int64]:
        """Places of vectors among which are the k best, and all that equal the last of them.

        Args:
            query_D: the query.
            k: how many are wanted.
            is_left_N: places that are wanted.
            factor_N: a score is this, above 0, times the inner product of vector and query,
            added_N: and this.
            least: vectors with a smaller score are not wanted.

        Returns:
            Few places, ascending; all that are wanted where these are no more than k.
        """
        noise_N = ROUNDING * np.abs(added_N)
        about_N, off_N = self._by_rounded(query_D)
        places = _largest(about_N * factor_N + added_N, off_N * factor_N + noise_N, k, is_left_N, least)
        # Most of that came of rounding the query, so it is not rounded for these few.
        about_B, off_B = self._by_exact(query_D, places)
        factor_B = factor_N[places]
        again = _largest(
            about_B * factor_B + added_N[places],
            off_B * factor_B + noise_N[places],
            k,
            np.ones(len(places), np.bool_),
            least,
        )
        return places[again]

    def _by_rounded(self, query_D: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Inner products with the rounded query, and how far each can be from the true one, [N] both."""
        scaled_D = query_D.astype(np.float64) * self.scale_D
        step = float(np.abs(scaled_D).max()) / LARGEST or 1.0
        whole_D = np.round(scaled_D / step)
        taken = float(np.linalg.norm(scaled_D - whole_D * step))
        length = float(np.linalg.norm(query_D))
        about_N = np.asarray(_load().cdist(whole_D[None].astype(np.int8), self.whole_ND, metric="dot"))[0]
        return about_N * step, taken * self.length_N + length * (self.taken_N + FLOAT_NOISE)

    def _by_exact(
        self, query_D: NDArray[np.float32], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for some vectors, with the query as it is, [B] both."""
        about_B = self.whole_ND[places].astype(np.float32) @ (query_D * self.scale_D)
        off_B = float(np.linalg.norm(query_D)) * (self.taken_N[places] + FLOAT_NOISE)
        return about_B.astype(np.float64), off_B


def _largest(
    about_N: NDArray[np.float64],
    off_N: NDArray[np.float64],
    k: int,
    is_left_N: NDArray[np.bool_],
    least: float,
) -> NDArray[np.int64]:
    """Places among which are the k largest of some numbers that are known to within `off_N`."""
    left = np.flatnonzero(is_left_N)
    about_L, off_L = about_N[left], off_N[left]
    if len(left) > k:
        surely_L = about_L - off_L
        least = max(least, float(np.partition(surely_L, len(left) - k)[len(left) - k]))
    may_be: NDArray[np.int64] = left[about_L + off_L >= least]
    return may_be


def _lengths(vectors_BD: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lengths of vectors; a little more, since they are computed in float32."""
    squared_B: NDArray[np.float32] = np.einsum("bd,bd->b", vectors_BD, vectors_BD)
    return np.sqrt(squared_B.astype(np.float64)) * (1 + 10 * FLOAT_NOISE)


def _load() -> Any:  # noqa: ANN401  untyped library
    """Import numkong: faiss has such products too, but finds only the largest of them."""
    import numkong

    return numkong
