"""Signs and 8-bit copies of some thousand vectors, which say which few of them can be the best for a query.

Copies and query are rotated (`rotation.py`), so that one step fits all their dimensions, and rounded to whole numbers
from -127 to 127. Without the rotation the few dimensions that are large, in vectors or query, would leave the others
little to tell items by: of 5,000 items with weights some users' queries left all, now no more than 35.

Processors compute inner products of whole numbers several times as fast as those of float32, and exactly. How far such
a product can be from the true one follows from what rounding took away, by the inequality of Cauchy and Schwarz. So
what copies leave out cannot be among the best.

Of wide vectors signs are compared first (`signs.py`), an eighth of the bytes: of 13,600 items with weights they left
24. They differ from what angles say by chance, and may leave one of the best out: in less than one of 100,000 lists.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.coarseness import by_signs
from recsys.retrieval.rotation import rotated
from recsys.retrieval.signs import signs_of

# Shape suffixes: N vectors, D dimension, B some of the vectors, S numbers of signs.
SURE = 5.0
"""Standard deviations by which signs may be off. Of 800,000 pairs of a profile and a user none was off by over 4."""
FEW = 512
"""Of more vectors than signs leave, copies are compared with the rounded query first."""
LARGEST = 127
BLOCK_ROWS = 1024
"""Vectors that are rounded at once; bounds memory."""
FLOAT_NOISE = 1e-5
"""Of a length: what computing in float32 takes away besides."""
ROUNDING = 1e-6
"""Of what is added to a product: what adding it in float32 takes away."""
Places = NDArray[np.int64] | slice
ALL = slice(None)


@dataclass(frozen=True)
class CoarseRows:
    """The copies, made by `of`."""

    whole_ND: NDArray[np.int8]
    """The vectors, rotated and rounded."""
    step: float
    """A rotated vector is its rounded one times this."""
    taken_N: NDArray[np.float64]
    """Length of what rounding took away from each."""
    length_N: NDArray[np.float64]
    """Of each rounded vector."""
    signs: Any
    """Of the vectors, as numkong compares them fastest; None where signs tell them apart too little."""

    @classmethod
    def of(cls, vectors_ND: NDArray[np.float32]) -> Self:
        """Round vectors.

        Args:
            vectors_ND: unit rows, at least one.

        Returns:
            The copies; each number of a rotated vector is off by at most half a step.
        """
        blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, len(vectors_ND), BLOCK_ROWS)]
        step = max(float(np.abs(rotated(vectors_ND[part])).max()) for part in blocks) / LARGEST or 1.0
        whole_ND = np.empty(vectors_ND.shape, np.int8)
        taken_N, length_N = np.empty(len(vectors_ND)), np.empty(len(vectors_ND))
        signs = []
        for part in blocks:
            turned_BD = rotated(vectors_ND[part])
            rounded_BD = np.round(turned_BD / np.float32(step))
            whole_ND[part], length_N[part] = rounded_BD, _lengths(rounded_BD)
            taken_N[part] = _lengths(rounded_BD * np.float32(step) - turned_BD)
            signs.append(signs_of(turned_BD))
        packed = _load().hammings_pack(np.concatenate(signs)) if by_signs(vectors_ND) else None
        return cls(whole_ND, step, taken_N, length_N, packed)

    def possible_best(
        self,
        query_D: NDArray[np.float32],
        k: int,
        is_left_N: NDArray[np.bool_],
        factor_N: NDArray[np.floating],
        added_N: NDArray[np.floating],
        least: float = -np.inf,
    ) -> NDArray[np.int64]:
        """Places of vectors among which are the k best, and all that equal the last of them; by signs almost surely.

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
        turned_D = rotated(query_D[None])[0]
        wanted = _Wanted(k, is_left_N, factor_N, added_N, least)
        if self.signs is None:
            places = wanted.largest(*self._by_rounded(turned_D, ALL), ALL)
        else:
            places = self._by_signs(turned_D, wanted)
            if len(places) > FEW:
                places = places[wanted.largest(*self._by_rounded(turned_D, places), places)]
        # Most of what is left came of rounding the query, so it is not rounded for these few.
        return places[wanted.largest(*self._by_exact(turned_D, places), places)]

    def _by_signs(self, turned_D: NDArray[np.float32], wanted: "_Wanted") -> NDArray[np.int64]:
        """Places of the vectors that can be wanted, as far as signs tell.

        Of vectors at an angle of θ a share of θ / π of the signs differs, by a binomial distribution.
        """
        differing_N = np.asarray(_load().hammings_packed(signs_of(turned_D[None]), self.signs))[0]
        length = float(np.linalg.norm(turned_D))
        about_S, off = _cosines(len(turned_D)) * length, SURE * np.pi / 2 / np.sqrt(len(turned_D)) * length
        n_near = wanted.n_reaching(about_S + off)  # the number alone rules most vectors out
        places = np.flatnonzero((differing_N < n_near) | (wanted.added_N > 0))
        return places[wanted.largest(about_S[differing_N[places]], off, places)]

    def _by_rounded(
        self, turned_D: NDArray[np.float32], places: Places
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Inner products with the rounded query, and how far each can be from the true one, [B] both."""
        query_D = turned_D.astype(np.float64)
        step = float(np.abs(query_D).max()) / LARGEST or 1.0
        whole_D = np.round(query_D / step)
        taken = float(np.linalg.norm(query_D - whole_D * step)) * self.step
        length, whole_1D = float(np.linalg.norm(query_D)), whole_D[None].astype(np.int8)
        if places is ALL:
            about_B = np.asarray(_load().dots_packed(whole_1D, self._packed))[0]
        else:
            about_B = np.asarray(_load().cdist(whole_1D, self.whole_ND[places], metric="dot"))[0]
        length_B, taken_B = self.length_N[places], self.taken_N[places]
        return about_B * (step * self.step), taken * length_B + length * (taken_B + FLOAT_NOISE)

    @cached_property
    def _packed(self) -> Any:  # noqa: ANN401  untyped library
        """The copies once more, as numkong multiplies them fastest: in three quarters of the time."""
        return _load().dots_pack(self.whole_ND)

    def _by_exact(
        self, turned_D: NDArray[np.float32], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same for some vectors, with the query as it is, [B] both."""
        about_B = self.whole_ND[places].astype(np.float32) @ (turned_D * np.float32(self.step))
        off_B = float(np.linalg.norm(turned_D)) * (self.taken_N[places] + FLOAT_NOISE)
        return about_B.astype(np.float64), off_B


@dataclass(frozen=True)
class _Wanted:
    """The arguments of `possible_best`."""

    k: int
    is_left_N: NDArray[np.bool_]
    factor_N: NDArray[np.floating]
    added_N: NDArray[np.floating]
    least: float

    def n_reaching(self, most_S: NDArray[np.float64]) -> int:
        """How many of some inner products, best first, reach `least` without anything added."""
        if self.least <= 0:
            return len(most_S)
        return int(np.count_nonzero(most_S * self.factor_N.max() >= self.least))

    def largest(
        self, about_B: NDArray[np.float64], off_B: NDArray[np.float64] | float, places: Places
    ) -> NDArray[np.int64]:
        """Which of some vectors can have the k largest scores, by inner products that are known to within `off_B`."""
        factor_B, added_B, is_left_B = self.factor_N[places], self.added_N[places], self.is_left_N[places]
        score_B, off_B = about_B * factor_B + added_B, off_B * factor_B + ROUNDING * np.abs(added_B)
        least = self.least
        if int(np.count_nonzero(is_left_B)) > self.k:
            surely_B = np.where(is_left_B, score_B - off_B, -np.inf)
            last = len(surely_B) - self.k
            least = max(least, float(np.partition(surely_B, last)[last]))
        found: NDArray[np.int64] = np.flatnonzero(is_left_B & (score_B + off_B >= least))
        return found


@lru_cache(maxsize=8)
def _cosines(dim: int) -> NDArray[np.float64]:
    """The cosine of two vectors by the number of their signs that differ, [dim + 1]."""
    cosines: NDArray[np.float64] = np.cos(np.pi * np.arange(dim + 1) / dim)
    return cosines


def _lengths(vectors_BD: NDArray[np.float32]) -> NDArray[np.float64]:
    """Lengths of vectors; a little more, since they are computed in float32."""
    squared_B: NDArray[np.float32] = np.einsum("bd,bd->b", vectors_BD, vectors_BD)
    return np.sqrt(squared_B.astype(np.float64)) * (1 + 10 * FLOAT_NOISE)


def _load() -> Any:  # noqa: ANN401  untyped library
    """Import numkong: faiss has such products too, but finds only the largest of them."""
    import numkong

    return numkong
