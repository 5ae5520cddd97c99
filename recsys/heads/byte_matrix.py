"""A matrix in one byte per number: a vector is multiplied with it in a fraction of the time that float32 takes.

Processors multiply numbers of 8 bits several times as fast as those of float32, and read a quarter of the memory, which
is what a product with one vector waits for. The vector is split in two numbers of 8 bits, a whole one and the 254ths
that it leaves, so that hardly anything is lost of it.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

# Shape suffixes: N rows of the matrix, D its columns, B rows of a block.
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

    def times(self, vector_D: NDArray[np.float32]) -> NDArray[np.float64]:
        """Inner products of all rows with a vector.

        Args:
            vector_D: finite numbers.

        Returns:
            [N]. The same bits whatever else is computed.
        """
        step = float(np.abs(vector_D).max(initial=0)) / LARGEST or 1.0
        steps_D = vector_D / np.float32(step)
        both_2D = np.empty((2, len(vector_D)), np.int8)
        both_2D[0] = whole_D = np.rint(steps_D)
        both_2D[1] = np.rint((steps_D - whole_D) * PARTS)
        products_2N = np.asarray(_load().dots_packed(both_2D, self.whole)).astype(np.float64)
        found_N: NDArray[np.float64] = step * self.step_N * (products_2N[0] + products_2N[1] / PARTS)
        return found_N


def _load() -> Any:  # noqa: ANN401  untyped library
    """Import numkong, which multiplies whole numbers by the widest instructions of the processor."""
    import numkong

    return numkong
