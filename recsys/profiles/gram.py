"""The Gram matrix XᵀX, exact to the last bit, so that it can be updated by adding and subtracting rows.

Profiles are rounded to multiples of `STEP` before they are multiplied. A sum has two levels: float64 adds the products
of up to `FOLDED_ROWS` unit rows, which stay below 2**53 steps, without error; int64 adds such sums, of up to 2**35 rows
in all. The matrix has the same bytes for any order of rows, number of threads, division into segments and sites, and
history of updates. A rounded row has a cosine of 1 - 6e-8 with the original.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.storage.arrays import from_npz_bytes, let_go, npz_bytes
from recsys.storage.checked import read_checked, write_checked

# Shape suffixes: I items, D dimension, N rows of one segment.
STEP = 2.0**-14
LIMIT = (1 + 1e-3) / STEP
"""Largest value of a unit vector, in steps, with the tolerance of profiles."""
CHUNK_ROWS = 1024
LET_GO_ROWS = 2**15
"""After so many rows the memory of a mapped file is given back, or all of it would count as this process's."""
FOLDED_ROWS = 2**24
"""Rows whose products float64 adds: at most 2**24 (2**14)^2 (1 + 1e-3)^2 steps, a little more than half of 2**53."""


def gram_of(vectors_ID: NDArray[np.floating], rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Compute XᵀX of unit rows.

    Args:
        vectors_ID: unit rows; a memory map is read chunk by chunk.
        rows: of X, distinct; None: all. They are not gathered, which would be a copy of nearly everything.

    Returns:
        gram_DD float64, symmetric.

    Raises:
        ValueError: a value is not finite, or lies outside [-1, 1]; names the row.
    """
    return _in_units(_steps(vectors_ID, rows))


@dataclass(frozen=True)
class GramState:
    """A Gram matrix and the rows in it, from which the next one is computed."""

    steps_DD: NDArray[np.int64]
    """XᵀX in units of STEP²: a partial sum, to which those of other rows are added."""
    rows: Mapping[str, NDArray[np.bool_]]
    """Segment name -> mask of its N rows that are in the sum."""

    @property
    def gram(self) -> NDArray[np.float64]:
        """XᵀX, float64 [D, D]."""
        return _in_units(self.steps_DD)

    @property
    def n_rows(self) -> int:
        """Number of rows of X."""
        return sum(int(rows.sum()) for rows in self.rows.values())

    def save(self, path: Path) -> None:
        """Write it to a cache, with a checksum."""
        names = list(self.rows)
        lengths = np.array([len(self.rows[name]) for name in names], np.int64)
        all_rows = np.concatenate([np.empty(0, np.bool_), *self.rows.values()])
        arrays = {
            "steps": self.steps_DD,
            "names": np.array(names, dtype=np.str_),
            "lengths": lengths,
            "rows": np.packbits(all_rows),
        }
        write_checked(path, npz_bytes(arrays))

    @classmethod
    def load(cls, path: Path) -> "GramState | None":
        """Read what `save` wrote; None where it is missing or damaged, since it only saves time."""
        content = read_checked(path)
        if content is None:
            return None
        saved = from_npz_bytes(content)
        lengths = saved["lengths"]
        all_rows = np.unpackbits(saved["rows"], count=int(lengths.sum())).astype(np.bool_)
        pieces = np.split(all_rows, np.cumsum(lengths)[:-1]) if len(lengths) else []
        return cls(saved["steps"].astype(np.int64), dict(zip(saved["names"].tolist(), pieces, strict=True)))


def bring_up_to_date(
    state: GramState | None,
    wanted: Mapping[str, NDArray[np.bool_]],
    vectors_of: Callable[[str], NDArray[np.float32]],
    dim: int,
) -> GramState:
    """Compute the Gram matrix of the wanted rows, by adding new rows to an earlier one and subtracting old rows.

    Args:
        state: an earlier one over the same profiles; None: start from nothing.
        wanted: segment name -> mask of its rows that make X. The vectors of a segment name never change.
        vectors_of: from a segment name to its vectors [N, D]; they may be memory-mapped.
        dim: width of the profiles.

    Returns:
        The new state; it equals one computed from nothing, to the last bit.
    """
    total = sum(int(rows.sum()) for rows in wanted.values())
    if state is None or not _is_shorter(state, wanted, dim, total):
        state = GramState(np.zeros((dim, dim), np.int64), {})
    steps_DD = state.steps_DD.copy()
    for name, rows in wanted.items():
        before = state.rows.get(name, np.zeros(len(rows), np.bool_))
        for changed, sign in ((rows & ~before, 1), (before & ~rows, -1)):
            if changed.any():
                steps_DD += sign * _steps(vectors_of(name), np.flatnonzero(changed))
    return GramState(steps_DD, {name: rows for name, rows in wanted.items() if rows.any()})


def _is_shorter(state: GramState, wanted: Mapping[str, NDArray[np.bool_]], dim: int, total: int) -> bool:
    """Whether an update of the state is possible and touches fewer rows than starting from nothing."""
    if state.steps_DD.shape != (dim, dim):
        return False
    if any(name not in wanted or len(wanted[name]) != len(rows) for name, rows in state.rows.items()):
        return False  # the vectors of a deleted segment cannot be subtracted
    kept = sum(int((wanted[name] & rows).sum()) for name, rows in state.rows.items())
    return (total - kept) + (state.n_rows - kept) < total


def _in_units(steps_DD: NDArray[np.int64]) -> NDArray[np.float64]:
    """The matrix that steps stand for; beyond 2**53 of them each is rounded once."""
    return steps_DD.astype(np.float64) * STEP**2


def _steps(vectors_ID: NDArray[np.floating], rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """XᵀX of rounded rows in units of STEP²."""
    from scipy.linalg.blas import dsyrk

    dim = vectors_ID.shape[1]
    folded_DD, upper_DD = np.zeros((dim, dim), np.int64), np.zeros((dim, dim), order="F")
    n, waiting = len(vectors_ID) if rows is None else len(rows), 0
    for start in range(0, n, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        chunk = np.multiply(vectors_ID[part if rows is None else rows[part]], 1 / STEP, dtype=np.float64)
        np.rint(chunk, out=chunk)
        if not max(chunk.max(), -chunk.min()) <= LIMIT:  # NaN compares false
            place = start + int(np.flatnonzero(~(np.abs(chunk) <= LIMIT).all(axis=1))[0])
            row = place if rows is None else int(rows[place])
            raise ValueError(f"row {row} is not a unit vector of finite numbers")
        upper_DD = dsyrk(1.0, chunk.T, beta=1.0, c=upper_DD, overwrite_c=1)
        waiting += len(chunk)
        if start % LET_GO_ROWS < CHUNK_ROWS:
            let_go(vectors_ID)
        if waiting + CHUNK_ROWS > FOLDED_ROWS:
            folded_DD += upper_DD.astype(np.int64)
            upper_DD[:], waiting = 0, 0
    folded_DD += upper_DD.astype(np.int64)
    return np.triu(folded_DD) + np.triu(folded_DD, 1).T
