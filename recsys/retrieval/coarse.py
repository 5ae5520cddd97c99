"""8-bit copies of some thousand vectors, which say which few of them can be the best for a query.

Copies and query are rounded to whole numbers from -127 to 127, whose inner products processors compute five times as
fast as those of float32. How far such a product can be from the true one follows from what rounding took away, by the
inequality of Cauchy and Schwarz. So what is left out cannot be among the best.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.index_file import load_faiss, one_thread

Real = TypeVar("Real", float, NDArray[np.float64])
# Shape suffixes: N vectors, D dimension, B those that may be best.
LARGEST = 127
WIDEST = 2**24 // LARGEST**2
"""Dimensions of which products of whole numbers are exact in float32."""
SPARE = (128, 1024)
"""Vectors that are looked at beyond those that are wanted, at first and then: of nine queries in ten the first are
enough."""
FLOAT_NOISE = 1e-5
"""Of a length: what computing in float32 takes away besides."""


@dataclass(frozen=True)
class CoarseRows:
    """The copies, made by `of`."""

    index: Any
    """A faiss.IndexScalarQuantizer of the rounded vectors."""
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
            vectors_ND: unit rows, at least one; of at most WIDEST dimensions.

        Returns:
            The copies; each number of a vector is off by at most 1/254 of the largest in its dimension.
        """
        faiss = load_faiss()
        largest_D = np.abs(vectors_ND).max(axis=0)
        is_normal_D = largest_D > LARGEST * np.finfo(np.float32).tiny  # else the scale would be 0
        scale_D = np.where(is_normal_D, largest_D / LARGEST, 1).astype(np.float32)
        whole_ND = np.round(vectors_ND / scale_D)
        index = faiss.IndexScalarQuantizer(
            vectors_ND.shape[1], faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
        )
        with one_thread(faiss):
            index.add(whole_ND)
        length_N = _lengths(whole_ND)
        whole_ND *= scale_D
        whole_ND -= vectors_ND
        return cls(index, scale_D, _lengths(whole_ND), length_N)

    def may_be_best(
        self, query_D: NDArray[np.float32], k: int, without: NDArray[np.int64]
    ) -> NDArray[np.int64] | None:
        """Places of vectors among which are the k best, and all that equal the last of them.

        Args:
            query_D: the query.
            k: how many are wanted.
            without: places that are not wanted.

        Returns:
            Few places, in no order; None where too many others might be among the best, or k are not left.
        """
        scaled_D = query_D.astype(np.float64) * self.scale_D
        step = float(np.abs(scaled_D).max()) / LARGEST
        if not step > 0 or len(self.length_N) - len(without) < k:
            return None
        whole_D = np.round(scaled_D / step)
        taken = float(np.linalg.norm(scaled_D - whole_D * step))
        length = float(np.linalg.norm(query_D))
        most_off = self._off(taken, length, self._longest, self._most_taken)
        for spare in SPARE:
            width = min(k + len(without) + spare, len(self.length_N))
            coarse_B, places_B = self._nearest(whole_D, width)
            last = float(coarse_B[-1]) * step
            is_wanted_B = ~np.isin(places_B, without)
            places_B, coarse_B = places_B[is_wanted_B], coarse_B[is_wanted_B] * step
            off_B = self._off(taken, length, self.length_N[places_B], self.taken_N[places_B])
            least = float(np.partition(coarse_B - off_B, len(coarse_B) - k)[len(coarse_B) - k])
            if width == len(self.length_N) or last + most_off < least:
                may_be: NDArray[np.int64] = places_B[coarse_B + off_B >= least]
                return may_be
        return None

    def _nearest(
        self, whole_D: NDArray[np.float64], width: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The largest products with a rounded query, exact, and the places of their vectors."""
        with one_thread(load_faiss()):
            products_1B, places_1B = self.index.search(whole_D[None].astype(np.float32), width)
        return products_1B[0], places_1B[0]

    @staticmethod
    def _off(taken: float, length: float, length_B: Real, taken_B: Real) -> Real:
        """How far products can be from the true ones at most.

        Args:
            taken: length of what rounding took away from the query.
            length: of the query.
            length_B: of rounded vectors.
            taken_B: length of what rounding took away from each.

        Returns:
            off_B.
        """
        return taken * length_B + length * taken_B + FLOAT_NOISE * length

    @cached_property
    def _longest(self) -> float:
        return float(self.length_N.max())

    @cached_property
    def _most_taken(self) -> float:
        return float(self.taken_N.max())


def _lengths(vectors_ND: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lengths of vectors; a little more, since they are computed in float32."""
    squared_N: NDArray[np.float32] = np.einsum("nd,nd->n", vectors_ND, vectors_ND)
    return np.sqrt(squared_N.astype(np.float64)) * (1 + 10 * FLOAT_NOISE)
