"""Views: evidence about items other than their texts, over N items in a given order.

A sparse view names things with weights, such as the entities of a knowledge graph. A dense view has one vector per
item, such as that of a picture. An item may lack any view: its row is then empty or zero. `KernelHead.profiles` joins
views with text; a view that an item lacks, or that the head does not know, adds nothing to its profile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

# Shape suffixes: N items, E names, D width of a vector.
UNIT_TOLERANCE = 1e-3
"""How far the length of a vector may be from 1."""


@dataclass(frozen=True)
class SparseView:
    """Weighted names of N items."""

    names: tuple[str, ...]
    """What the columns stand for, without repeats."""
    rows_NE: csr_array
    """float32 weights >= 0; a row without evidence is empty. Made canonical: ascending columns, no zeros."""

    def __post_init__(self) -> None:
        """Check names and weights; ValueError where they do not fit together."""
        if len(set(self.names)) != len(self.names):
            raise ValueError("a sparse view has a name twice")
        if self.rows_NE.ndim != 2 or self.rows_NE.shape[1] != len(self.names):
            raise ValueError(f"a sparse view of {len(self.names)} names has rows {self.rows_NE.shape}")
        # A copy, because the rows are changed in place below.
        rows_NE = csr_array(self.rows_NE, dtype=np.float32, copy=True)
        rows_NE.sum_duplicates()
        rows_NE.eliminate_zeros()
        if not (np.isfinite(rows_NE.data).all() and (rows_NE.data > 0).all()):
            raise ValueError("a sparse view has a weight that is negative or not finite")
        object.__setattr__(self, "rows_NE", rows_NE)

    def __len__(self) -> int:
        """N."""
        return int(self.rows_NE.shape[0])

    def take(self, rows: NDArray[np.int64]) -> "SparseView":
        """The view of some items, in the given order, with the same names."""
        return replace(self, rows_NE=csr_array(self.rows_NE[rows]))

    @property
    def has_N(self) -> NDArray[np.bool_]:
        """Which items have any evidence."""
        return np.asarray(np.diff(self.rows_NE.indptr) > 0)


@dataclass(frozen=True)
class DenseView:
    """One vector for each of N items."""

    vectors_ND: NDArray[np.float32]
    """Unit rows; all zeros where an item has none."""
    source: str
    """The model that made the vectors. Vectors of different sources are not compared."""

    def __post_init__(self) -> None:
        """Check the vectors; ValueError where one is neither a unit vector nor zero."""
        vectors_ND = np.ascontiguousarray(self.vectors_ND, np.float32)
        if vectors_ND.ndim != 2:
            raise ValueError(f"a dense view has vectors of shape {vectors_ND.shape}")
        lengths_N = np.linalg.norm(vectors_ND, axis=1)
        odd_N = ~((lengths_N == 0) | (np.abs(lengths_N - 1) <= UNIT_TOLERANCE))  # NaN compares false
        if odd_N.any():
            row = int(odd_N.argmax())
            raise ValueError(f"row {row} of a dense view has length {lengths_N[row]}, neither 1 nor 0")
        object.__setattr__(self, "vectors_ND", vectors_ND)

    def __len__(self) -> int:
        """N."""
        return len(self.vectors_ND)

    def take(self, rows: NDArray[np.int64]) -> "DenseView":
        """The view of some items, in the given order."""
        return replace(self, vectors_ND=self.vectors_ND[rows])

    @property
    def has_N(self) -> NDArray[np.bool_]:
        """Which items have a vector."""
        return np.asarray((self.vectors_ND != 0).any(axis=1))


View = SparseView | DenseView
Views = Mapping[str, View]
"""Name -> view, all of the same items. Names are `relations`, `image`, or those that landed vectors bring."""
NO_VIEWS: Views = MappingProxyType({})


def take(views: Views, rows: NDArray[np.int64]) -> Views:
    """The views of some items, in the given order."""
    return {name: view.take(rows) for name, view in views.items()}


def stack(views: Sequence[View]) -> View:
    """Put views of one kind below each other, such as those of several files.

    Args:
        views: one or more, all sparse, or all dense and of one source.

    Returns:
        The view of all their items, in order. Names are those of all, ascending.

    Raises:
        ValueError: they are of several kinds, sources or widths.
    """
    sparse = [one for one in views if isinstance(one, SparseView)]
    if len(sparse) == len(views):
        names = sorted({name for one in sparse for name in one.names})
        blocks = [renamed(one, names) for one in sparse]
        return SparseView(tuple(names), csr_array(vstack(blocks, format="csr")))
    dense = [one for one in views if isinstance(one, DenseView)]
    kinds = {(one.source, one.vectors_ND.shape[1]) for one in dense}
    if sparse or len(kinds) > 1:
        raise ValueError(f"views that cannot be stacked: {len(sparse)} sparse, and dense of {sorted(kinds)}")
    return DenseView(np.concatenate([one.vectors_ND for one in dense]), dense[0].source)


def renamed(view: SparseView, names: Sequence[str]) -> csr_array:
    """The rows of a sparse view over other columns, [N, len(names)]; names that are not among them are dropped."""
    place_of = {name: place for place, name in enumerate(names)}
    to_E = np.array([place_of.get(name, -1) for name in view.names], np.int64)
    at = view.rows_NE.tocoo()
    columns = to_E[at.col]
    kept = columns >= 0
    return csr_array((at.data[kept], (at.row[kept], columns[kept])), shape=(len(view), len(names)))


def coverage(views: Views) -> dict[str, float]:
    """Share of the items that each view covers, in [0, 1]; 0 without items."""
    return {name: float(view.has_N.mean()) if len(view) else 0.0 for name, view in views.items()}


def check_rows(views: Views, n: int) -> None:
    """Check that every view is of n items.

    Args:
        views: to check.
        n: number of items.

    Raises:
        ValueError: a view has another number of rows; names it.
    """
    for name, view in views.items():
        if len(view) != n:
            raise ValueError(f"view {name!r} has {len(view)} rows, not {n}")
