"""A kernel head's coordinates of single queries, which wait for them: fewer bytes are read than for items.

The matrices of a large head are rounded to bytes (`byte_matrix.py`). Most of a kernel row is the same for all texts, or
linear in the cosines with the landmarks, and what a projection makes of that part is computed exactly from two small
sums. Only the rest is multiplied with rounded numbers, after landmarks were brought to one size. So coordinates differ
from exact ones by a hundredth of their length, a cosine with an item by less than a thousandth, and three quarters of
the memory need not be read.

A query has the same profile alone and beside others: sums of whole numbers are exact, and the rest is computed for each
query by itself. The rounded matrices are read once for all queries that are asked together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.heads.byte_matrix import MOST_COLUMNS, ByteMatrix
from recsys.storage.arrays import let_go

# Shape suffixes: N texts, L width of the base encoder, M landmarks, V terms, D directions, B some of the texts.
ROUNDED_FROM = 1 << 20
"""A projection of fewer numbers (4 MB) is read quickly as it is."""
BLOCK_ROWS = 1024
"""Landmarks that are widened to float64 at once; bounds memory."""


@dataclass(frozen=True)
class _Rounded:
    """Matrices of a large head."""

    landmarks: ByteMatrix
    projection: ByteMatrix
    """Of each direction, for landmarks of one size."""
    size_M: NDArray[np.float32]
    """Of the landmarks: of each row of the projection its root mean square."""
    sum_D: NDArray[np.float64]
    """What the projection makes of a row of ones."""
    linear_LD: NDArray[np.float32]
    """What it makes of the cosines, by the text's vector."""

    @classmethod
    def of(cls, vectors_ML: NDArray[np.float32], projection_MD: NDArray[np.float32]) -> Self:
        """Round landmarks and projection."""
        linear_LD = np.zeros((vectors_ML.shape[1], projection_MD.shape[1]))
        square_M = np.empty(len(projection_MD))
        for start in range(0, len(projection_MD), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            exact_BD = projection_MD[part].astype(np.float64)
            linear_LD += vectors_ML[part].T.astype(np.float64) @ exact_BD
            square_M[part] = (exact_BD**2).mean(axis=1)
        size_M = np.sqrt(np.where(square_M > 0, square_M, 1)).astype(np.float32)
        return cls(
            ByteMatrix.of(vectors_ML),
            ByteMatrix.of(projection_MD.T, size_M),
            size_M,
            projection_MD.sum(axis=0, dtype=np.float64),
            linear_LD.astype(np.float32),
        )


@dataclass(frozen=True)
class QueryKernel:
    """Landmarks and projection, as queries need them."""

    lexical_share: float
    """a, of exact words; see `kernel_head.py`."""
    gamma: float
    """γ."""
    words_VM: csr_array
    """TF-IDF of the landmarks, by terms."""
    vectors_ML: NDArray[np.float32]
    """Their unit vectors."""
    projection_MD: NDArray[np.float32]

    def prepare(self) -> None:
        """Round the matrices of a large head, so that processes forked afterwards share them."""
        _ = self._rounded

    def coordinates(
        self, words_NV: csr_array, vectors_NL: NDArray[np.float32], some: range
    ) -> NDArray[np.float64]:
        """Kernel rows times the projection.

        Args:
            words_NV: TF-IDF rows of the queries.
            vectors_NL: their vectors by the base encoder, unit rows.
            some: which of the queries.

        Returns:
            [len(some), D].
        """
        found_BD = np.empty((len(some), self.projection_MD.shape[1]))
        has_vector_B = np.asarray(vectors_NL[some.start : some.stop].any(axis=1))
        is_rounded_B = has_vector_B & (self._rounded is not None)
        for place in np.flatnonzero(~is_rounded_B).tolist():
            row_M = self._by_meaning(self.vectors_ML @ vectors_NL[some[place]])
            if not has_vector_B[place]:  # a text without a vector is unlike every other
                row_M[:] = 0
            self._add_words(row_M, words_NV, some[place])
            found_BD[place] = row_M @ self.projection_MD
        if self._rounded is not None and is_rounded_B.any():
            rounded = [some[place] for place in np.flatnonzero(is_rounded_B).tolist()]
            found_BD[is_rounded_B] = self._nearly(self._rounded, words_NV, vectors_NL, rounded)
        return found_BD

    def _nearly(
        self,
        rounded: _Rounded,
        words_NV: csr_array,
        vectors_NL: NDArray[np.float32],
        some: Sequence[int],
    ) -> NDArray[np.float64]:
        """The coordinates of some queries, [B, D]. What is no product with a large matrix is computed one by one."""
        cosine_BM = rounded.landmarks.times(vectors_NL[some]).astype(np.float32)
        row_BM = self._by_meaning(cosine_BM)
        linear_BD = np.empty((len(some), len(rounded.sum_D)))
        for n, cosine_M, row_M, linear_D in zip(some, cosine_BM, row_BM, linear_BD, strict=True):
            # The line that is nearest to the kernel, as a function of the cosine.
            level, middle = float(row_M.mean()), float(cosine_M.mean())
            cosine_M -= np.float32(middle)
            slope = float(cosine_M @ row_M) / (float(cosine_M @ cosine_M) or 1.0)
            cosine_M *= np.float32(slope)
            row_M -= cosine_M
            row_M -= np.float32(level)
            self._add_words(row_M, words_NV, n)
            row_M *= rounded.size_M
            linear_D[:] = slope * (vectors_NL[n] @ rounded.linear_LD).astype(np.float64)
            linear_D += (level - slope * middle) * rounded.sum_D
        return linear_BD + rounded.projection.times(row_BM)

    def _by_meaning(self, cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        """The kernel of vectors with these cosines, as `Kernel.compare` has it, of the same shape."""
        rows = cosines - np.float32(1)
        rows *= np.float32(self.gamma)
        np.exp(rows, out=rows)
        rows *= np.float32(1 - self.lexical_share)
        return rows

    def _add_words(self, row_M: NDArray[np.float32], words_NV: csr_array, n: int) -> None:
        """Add what common words of the query at a place add to the kernel, in place."""
        words = slice(*words_NV.indptr[n : n + 2])
        terms, weights = words_NV.indices[words], words_NV.data[words]
        for term, weight in zip(terms.tolist(), (self.lexical_share * weights).tolist(), strict=True):
            some = slice(*self.words_VM.indptr[term : term + 2])
            row_M[self.words_VM.indices[some]] += weight * self.words_VM.data[some]

    @cached_property
    def _rounded(self) -> _Rounded | None:
        """None where the head is small, or has too many landmarks for bytes."""
        if self.projection_MD.size < ROUNDED_FROM or len(self.projection_MD) > MOST_COLUMNS:
            return None
        rounded = _Rounded.of(self.vectors_ML, self.projection_MD)
        for mapped in (self.vectors_ML, self.projection_MD):  # queries read them no more
            let_go(mapped)
        return rounded
