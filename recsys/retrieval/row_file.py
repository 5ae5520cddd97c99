"""Rows of a large matrix on disk, read one by one.

A mapped row would bring its page, and those around it, into the process's memory, until the whole matrix is in it.
"""

import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.storage.arrays import head_of


class RowFile:
    """An npy file of float32 rows, held open.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file; says why.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            (self._n, self._dim), kind = head_of(file, path.stat().st_size)
            if kind != np.float32:
                raise ValueError(f"holds {kind}, not float32")
            self._start = file.tell()
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read rows.

        Args:
            rows: which ones, in any order.

        Returns:
            [len(rows), D].

        Raises:
            IndexError: there is no such row.
            OSError: the file was cut short, or cannot be read.
        """
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._n:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {self._n}")
        found = np.empty((len(rows), self._dim), np.float32)
        width = found.itemsize * self._dim
        for place, row in enumerate(rows.tolist()):
            if os.preadv(self._descriptor, [found[place]], self._start + row * width) != width:
                raise OSError("a file of vectors was cut short")
        return found
