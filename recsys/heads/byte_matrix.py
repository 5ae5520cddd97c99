"""A matrix in one byte per number: few vectors are multiplied with it in a fraction of the time that float32 takes.

Processors multiply numbers of 8 bits several times as fast as those of float32, and read a quarter of the memory, which
is what a product with few vectors waits for. A vector is split in two numbers of 8 bits, a whole one and the 254ths
that it leaves, so that hardly anything is lost of it.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N rows of the matrix, D its columns, B rows of a block, or vectors, R rows that are multiplied.
LARGEST = 127
PARTS = 254
"""Into how many parts a step is divided again: a remainder is at most half a step."""
MOST_COLUMNS = (2**31 - 1) // LARGEST**2
"""Sums of more products could be larger than a whole number of 32 bits."""
BLOCK_ROWS = 64
"""Rows that are rounded at once; bounds memory."""


@dataclass(frozen=True)
class ByteMatrix:
    """Made by `of`."""

    whole: Any
    """The rounded rows, laid out by numkong."""
    step_N: NDArray[np.float64]
    """A row is its rounded one times this."""

    @classmethod
    def of(cls, matrix_ND: NDArray[np.float32], scale_D: NDArray[np.float32] | None = None) -> Self:
        """Round a matrix.

        Args:
            matrix_ND: of at most MOST_COLUMNS columns.
            scale_D: above 0, what its columns are divided by first; None: nothing.

        Returns:
            The same in a byte per number; each is off by at most a 254th of the largest one of its row.
        """
        n, dim = matrix_ND.shape
        if dim > MOST_COLUMNS:
            raise ValueError(f"a matrix of bytes has at most {MOST_COLUMNS} columns, got {dim}")
        whole_ND, step_N = np.empty((n, dim), np.int8), np.empty(n)
        for start in range(0, n, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            rows_BD = np.ascontiguousarray(matrix_ND[block])
            if scale_D is not None:
                rows_BD = rows_BD / scale_D
            step_N[block] = np.abs(rows_BD).max(axis=1, initial=0) / LARGEST
            divisor_B1 = np.where(step_N[block] > 0, step_N[block], 1)[:, None].astype(np.float32)
            whole_ND[block] = np.rint(rows_BD / divisor_B1)
        return cls(_load().dots_pack(whole_ND), step_N)

    def times(self, vectors_BD: NDArray[np.float32]) -> NDArray[np.float64]:
        """Inner products of all rows with some vectors. The matrix is read once for all of them.

        Args:
            vectors_BD: finite numbers.

        Returns:
            [B, N]. Those of a vector have the same bits whatever else is computed.
        """
        step_B1 = np.abs(vectors_BD).max(axis=1, initial=0, keepdims=True).astype(np.float64) / LARGEST
        step_B1[step_B1 == 0] = 1
        steps_BD = vectors_BD / step_B1.astype(np.float32)
        whole_BD = np.rint(steps_BD)
        both_2BD = np.empty((2, *vectors_BD.shape), np.int8)
        both_2BD[0], both_2BD[1] = whole_BD, np.rint((steps_BD - whole_BD) * PARTS)
        rows_RD = both_2BD.reshape(-1, vectors_BD.shape[1])
        products_2BN = np.asarray(_load().dots_packed(rows_RD, self.whole)).reshape(*both_2BD.shape[:2], -1)
        found_BN: NDArray[np.float64] = products_2BN[0] + products_2BN[1] / PARTS
        found_BN *= step_B1 * self.step_N
        return found_BN


def _load() -> Any:  # noqa: ANN401  untyped library
    """Import numkong, which multiplies whole numbers by the widest instructions of the processor."""
    import numkong

    return numkong
