"""Kernels of views: how similar an item and the landmarks are by evidence other than their texts, 0 to 1.

An item that lacks a view is unlike every landmark: its row of the kernel is 0, and adds nothing to its profile.

Names are compared by the cosine of their weighted rows, and two steps further. With K the cosines of the landmarks and
a the decay, two items are also alike where both resemble one landmark, or two landmarks that are alike. Their kernel is
K + 2aK² + a²K³ = (I + aK) K (I + aK), scaled to a cosine. For any item this is an inner product, after its row x became
x (I + aC), where C is the sum of φᵀφ over the landmarks' rows φ. So it follows from the cosines k of x with the
landmarks, as k (I + aK)². Products with the sparse rows are enough; neither K nor a power of it is ever stored.

Vectors are compared by exp(γ (cosine - 1)), as the vectors of texts are.

A *centred* kernel compares items after the mean of the landmarks was taken away from each: k(x, y) - k(x, ·) - k(·, y)
+ k(·, ·), where · is the mean over the landmarks that have the view. Two items are then alike where they share more
than landmarks do on average, and each row sums to 0.

Papers: Kondor & Lafferty 2002, Diffusion Kernels on Graphs; Fouss et al. 2007, Random-Walk Computation of Similarities
between Nodes of a Graph, with Application to Collaborative Recommendation (here: two steps only).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import EncoderError
from recsys.features.views import DenseView, SparseView, View, Views, renamed

# Shape suffixes: N items, B items of a block, M landmarks, E names, D width of a vector.
BLOCK_ROWS = 256
"""Landmarks compared at once; bounds memory."""


@dataclass(frozen=True)
class NamesKernel:
    """Compares items by the names of a sparse view."""

    weight: float
    """b, beside the kernel of the text."""
    decay: float
    """a; 0: the cosine alone."""
    names: tuple[str, ...]
    """Those that a landmark has. Others are not compared."""
    idf_E: NDArray[np.float32]
    """Weight of each name: rare ones count more."""
    rows_ME: csr_array
    """The landmarks' names, float32: weighted, unit rows; empty where a landmark has none."""
    mean_M: NDArray[np.float32] | None = None
    """Mean of the landmarks' rows of the kernel; None: it is not centred."""

    def rows_of(self, view: View) -> csr_array:
        """The items' names as rows that can be compared, float64 [N, E]; unit length, or empty."""
        if not isinstance(view, SparseView):
            return csr_array((len(view), len(self.names)))
        return weighted(renamed(view, self.names), self.idf_E)

    def compare(self, rows_BE: csr_array) -> NDArray[np.float64]:
        """Compare items with the landmarks, kernel_BM.

        Args:
            rows_BE: see `rows_of`.

        Returns:
            Each row depends on its item alone.
        """
        kernel_MB = (self._exact_ME @ rows_BE.T).toarray()
        if self.decay > 0:
            near_MB = kernel_MB
            kernel_MB = near_MB + self.decay * self._carried(near_MB)
            lengths_B = self._lengths(near_MB, kernel_MB)
            kernel_MB += self.decay * self._carried(kernel_MB)
            kernel_MB /= self._lengths_M[:, None]
            kernel_MB /= lengths_B
        return _centred(np.asarray(kernel_MB.T), self.mean_M, np.diff(rows_BE.indptr) > 0, self.has_M)

    @property
    def own_rows(self) -> csr_array:
        """The landmarks' names as rows that can be compared, float64 [M, E]."""
        return self._exact_ME

    @property
    def has_M(self) -> NDArray[np.bool_]:
        """Which landmarks have any evidence."""
        return np.asarray(np.diff(self.rows_ME.indptr) > 0)

    def _carried(self, kernel_MB: NDArray[np.float64]) -> NDArray[np.float64]:
        """K times a block of columns. A name that only one landmark has adds to the diagonal of K alone."""
        shared_ME, alone_M = self._shared_and_alone
        return np.asarray(shared_ME @ (shared_ME.T @ kernel_MB)) + alone_M[:, None] * kernel_MB

    def _lengths(self, near_MB: NDArray[np.float64], spread_MB: NDArray[np.float64]) -> NDArray[np.float64]:
        """Lengths of items after x (I + aC): the root of xx + 2a kk + a² kKk, with k = near and xx = 1.

        With `spread` = k + aKk, that is xx + a k (k + spread).
        """
        return np.asarray(np.sqrt(1 + self.decay * (near_MB * (near_MB + spread_MB)).sum(axis=0)))

    @cached_property
    def _exact_ME(self) -> csr_array:
        return csr_array(self.rows_ME, dtype=np.float64)

    @cached_property
    def _shared_and_alone(self) -> tuple[csr_array, NDArray[np.float64]]:
        """The landmarks' names that several have, and the squared length of all others."""
        rows_ME = self._exact_ME
        several_E = np.bincount(rows_ME.indices, minlength=len(self.names)) > 1
        shared_ME = csr_array(rows_ME[:, several_E])
        whole_M, part_M = ((one * one).sum(axis=1) for one in (rows_ME, shared_ME))
        return shared_ME, np.asarray(whole_M - part_M).ravel()

    @cached_property
    def _lengths_M(self) -> NDArray[np.float64]:
        """Lengths of the landmarks after both steps."""
        found = []
        for start in range(0, self.rows_ME.shape[0], BLOCK_ROWS):
            near_MB = (self._exact_ME @ self._exact_ME[start : start + BLOCK_ROWS].T).toarray()
            found.append(self._lengths(near_MB, near_MB + self.decay * self._carried(near_MB)))
        return np.concatenate(found)


@dataclass(frozen=True)
class VectorsKernel:
    """Compares items by the vectors of a dense view."""

    weight: float
    """b, beside the kernel of the text."""
    gamma: float
    """γ."""
    source: str
    """What made the vectors. A view of another source is not compared: its items count as without a vector."""
    vectors_ML: NDArray[np.float32]
    """The landmarks' vectors: unit rows; zeros where a landmark has none."""
    mean_M: NDArray[np.float32] | None = None
    """Mean of the landmarks' rows of the kernel; None: it is not centred."""

    def rows_of(self, view: View) -> NDArray[np.float64]:
        """The items' vectors, float64; unit rows, or zeros.

        Args:
            view: of N items.

        Returns:
            [N, L].

        Raises:
            EncoderError: the vectors are of the same source, but of another width.
        """
        width = self.vectors_ML.shape[1]
        if not isinstance(view, DenseView) or view.source != self.source:
            return np.zeros((len(view), width))
        if view.vectors_ND.shape[1] != width:
            raise EncoderError(
                f"vectors of {self.source!r} have the width {view.vectors_ND.shape[1]}, those of the head {width}",
                remedy="if another model made them, give them another source, and train the challenger again",
            )
        return view.vectors_ND.astype(np.float64)

    def compare(self, rows_BL: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compare items with the landmarks, kernel_BM; 0 where either has no vector.

        Args:
            rows_BL: see `rows_of`.

        Returns:
            Each row depends on its item alone.
        """
        kernel_BM = np.exp(self.gamma * (rows_BL @ self._exact_ML.T - 1))
        has_B = rows_BL.any(axis=1)
        kernel_BM[~has_B] = 0
        kernel_BM[:, ~self.has_M] = 0
        return _centred(kernel_BM, self.mean_M, np.asarray(has_B), self.has_M)

    @property
    def own_rows(self) -> NDArray[np.float64]:
        """The landmarks' vectors, float64 [M, L]."""
        return self._exact_ML

    @property
    def has_M(self) -> NDArray[np.bool_]:
        """Which landmarks have any evidence."""
        return np.asarray(self.vectors_ML.any(axis=1))

    @cached_property
    def _exact_ML(self) -> NDArray[np.float64]:
        return self.vectors_ML.astype(np.float64)


ViewKernel = NamesKernel | VectorsKernel
Rows: TypeAlias = csr_array | NDArray[np.float64]
"""What a kernel compares, one row per item."""


def weighted(rows_NE: csr_array, idf_E: NDArray[np.float32]) -> csr_array:
    """Rows times the weights of names, scaled to unit length; empty rows stay empty. float64."""
    found = csr_array(rows_NE, dtype=np.float64, copy=True)
    found.data *= idf_E[found.indices]
    row_of = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
    squares_N = np.bincount(row_of, found.data**2, minlength=found.shape[0])
    found.data /= np.sqrt(squares_N)[row_of]
    return found


def fit_view(view: View, decay: float, gamma: float) -> ViewKernel | None:
    """The kernel of a view over its items as landmarks, of weight 1.

    Args:
        view: of the landmarks.
        decay: of a sparse view.
        gamma: of a dense view.

    Returns:
        The kernel; None where no landmark has any evidence.
    """
    if not view.has_N.any():
        return None
    if isinstance(view, DenseView):
        return VectorsKernel(1.0, gamma, view.source, view.vectors_ND)
    n_E = np.bincount(view.rows_NE.indices, minlength=len(view.names))
    names = tuple(name for name, n in zip(view.names, n_E, strict=True) if n)
    idf_E = np.log((1 + view.has_N.sum()) / (1 + n_E[n_E > 0])) + 1
    idf_E = idf_E.astype(np.float32)
    rows_ME = csr_array(weighted(renamed(view, names), idf_E), dtype=np.float32)
    return NamesKernel(1.0, decay, names, idf_E, rows_ME)


def centred(kernel: ViewKernel) -> ViewKernel:
    """The same kernel after the mean of its landmarks was taken away, which at least one of them must have."""
    own_MM = kernel.compare(kernel.own_rows)
    return replace(kernel, mean_M=own_MM[kernel.has_M].mean(axis=0).astype(np.float32))


def _centred(
    kernel_BM: NDArray[np.float64],
    mean_M: NDArray[np.float32] | None,
    has_B: NDArray[np.bool_],
    has_M: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Take the means away, where both the item and the landmark have the view; unchanged where mean_M is None."""
    if mean_M is None:
        return kernel_BM
    kernel_BM = kernel_BM - mean_M
    kernel_BM -= kernel_BM[:, has_M].mean(axis=1, keepdims=True)
    kernel_BM[~has_B] = 0
    kernel_BM[:, ~has_M] = 0
    return kernel_BM


def evidence(kernels: Mapping[str, ViewKernel], views: Views) -> dict[str, Rows]:
    """What each kernel compares about some items, without views that are missing."""
    return {name: kernel.rows_of(views[name]) for name, kernel in kernels.items() if name in views}


def add_views(
    kernel_BM: NDArray[np.floating], kernels: Mapping[str, ViewKernel], rows_B: Mapping[str, Rows]
) -> None:
    """Add the weighted kernels of views to that of the text, in place.

    Args:
        kernel_BM: of a block of items.
        kernels: name -> kernel.
        rows_B: evidence of these items, see `evidence`.
    """
    for name, rows in rows_B.items():
        kernel_BM += kernels[name].weight * kernels[name].compare(rows)
