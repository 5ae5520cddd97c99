"""A kernel head's coordinates of single queries, which wait for them: fewer bytes are read than for items.

Each query is computed by itself, so that it has the same profile alone and beside others. BLAS multiplies two rows with
a large matrix in more time than one row twice.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.heads.byte_matrix import MOST_ROWS, ByteMatrix

# Shape suffixes: N texts, L width of the base encoder, M landmarks, V terms, D directions.
BYTES_FROM = 1 << 20
"""A projection of fewer numbers (4 MB) is read quickly as it is."""


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

    def coordinates(
        self, words_NV: csr_array, vectors_NL: NDArray[np.float32], some: range
    ) -> NDArray[np.float64]:
        """Kernel rows times the projection.

        Args:
            words_NV: TF-IDF rows of the queries.
            vectors_NL: their vectors by the base encoder, unit rows.
            some: which of the queries.

        Returns:
            [len(some), D]. Of large heads they differ from exact ones by half a hundredth of their length, at most by
            twice as much.
        """
        found_BD = np.empty((len(some), self.projection_MD.shape[1]))
        for place, n in enumerate(some):
            words = slice(*words_NV.indptr[n : n + 2])
            row_M = self._row(words_NV.indices[words], words_NV.data[words], vectors_NL[n])
            found_BD[place] = row_M @ self.projection_MD if self.bytes is None else self.bytes.times(row_M)
        return found_BD

    @cached_property
    def bytes(self) -> ByteMatrix | None:
        """The projection in two bytes per number; None where it is too small or too long for it."""
        n_rows, n_columns = self.projection_MD.shape
        if n_rows * n_columns < BYTES_FROM or n_rows > MOST_ROWS:
            return None
        return ByteMatrix.of(self.projection_MD)

    def _row(
        self, terms: NDArray[np.integer], weights: NDArray[np.float32], vector_L: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The kernel of one text with every landmark, as `Kernel.compare` has it, [M]."""
        row_M = self.vectors_ML @ vector_L
        row_M -= 1
        row_M *= self.gamma
        np.exp(row_M, out=row_M)
        row_M *= 1 - self.lexical_share
        if not vector_L.any():  # a text without a vector is unlike every other
            row_M[:] = 0
        for term, weight in zip(terms.tolist(), (self.lexical_share * weights).tolist(), strict=True):
            some = slice(*self.words_VM.indptr[term : term + 2])
            row_M[self.words_VM.indices[some]] += weight * self.words_VM.data[some]
        return row_M
