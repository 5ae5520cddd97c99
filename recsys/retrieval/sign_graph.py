"""A graph over the signs of vectors (`signs.py`). A walk along it reads a quarter of what copies in 4 bits have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import acos, ceil, floor, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.ordering import likely_best
from recsys.retrieval.signs import WORD, agreeing, differing, signs_of

# Shape suffixes: Q queries, D dimension, N vectors of one segment, K list, B bytes of signs, R some rows.
ScoresOf = Callable[[NDArray[np.int64]], NDArray[np.float64]]
COPYING = 7
"""Copying a row's signs and comparing the copy takes so many times as long as comparing it where it lies, next to the
row before it."""
ROWS_AT_ONCE = 65_536
"""Rows whose signs are copied together; those of a million rows of 1,024 numbers would take 128 MB."""
ROWS_AHEAD = 4096
"""Rows that are compared with several queries at a time: those of 1,024 numbers take half a processor's own cache."""
DEVIATION = np.sqrt(np.pi / 2 - 1)
"""Standard deviation of an inner product that is estimated by signs, times √D, for a query and vectors of length 1."""
DOUBT = 2.5
"""Rows are scored by their vectors where they may be this many standard deviations better than their signs say. Of
100,000 profiles that were 30 to 45 rows for the best ten, and held .997 of these."""
FARTHER = 8
"""A comparison lists up to this many times as many rows as asked for, where more signs differ by chance."""
SURELY = 3.0
"""The same, in place of DOUBT, where a filter left nothing near and true scores say what must be reached."""
SCORED = 256
"""Rows that are scored by their vectors to learn what others must reach, where signs tell too little."""
MOST_ESTIMATED = 16_384
"""Up to so many rows are compared with the query's own numbers first. Of more, these leave too many."""
MOST_SCORED = 65_536
"""The most rows that are then scored by their vectors, those with the most signs of the query."""


@dataclass(frozen=True)
class Compared:
    """Rows that a comparison of one query lists, those with the most signs of the query first."""

    rows_R: NDArray[np.int64]
    is_clear: bool = True
    """False where the best are among them, but signs do not say which: all must be scored by their vectors."""


class SignGraph:
    """Searches an `IndexBinaryHNSW` of faiss that has been checked.

    Args:
        faiss: the module.
        index: the index; its storage holds signs as `signs_of` gives them.
    """

    def __init__(self, faiss: Any, index: Any) -> None:  # noqa: ANN401  untyped library
        self._faiss = faiss
        self._index = index
        self._storage = faiss.downcast_IndexBinary(index.storage)
        self.compares_all = False
        """Whether the search before compared its query with all rows. The next ones then will, as a rule."""
        self._ahead: dict[bytes, NDArray[np.int32]] = {}
        """Queries that are searched soon, by their signs, and in how many signs each row differs from them."""

    def look_ahead(self, turned_QD: NDArray[np.float32]) -> None:
        """Compare all rows with queries whose searches follow: rows are read once for all of them.

        Counts that no search has fetched by the next call are dropped.

        Args:
            turned_QD: queries, rotated.
        """
        signs_QB, signs_NB = signs_of(turned_QD), self._signs_NB
        if signs_QB.shape[1] % WORD:
            return
        differing_QN = np.empty((len(signs_QB), len(signs_NB)), np.int32)
        for start in range(0, len(signs_NB), ROWS_AHEAD):
            rows_RB = signs_NB[start : start + ROWS_AHEAD]
            differing_QR = np.empty((len(signs_QB), len(rows_RB)), np.int32)
            self._count(signs_QB, rows_RB, differing_QR)
            differing_QN[:, start : start + len(rows_RB)] = differing_QR
        self._ahead = {
            signs_B.tobytes(): differing_N
            for signs_B, differing_N in zip(signs_QB, differing_QN, strict=True)
        }

    def search(self, turned_QD: NDArray[np.float32], width: int, viewed: int) -> NDArray[np.int64]:
        """Walk along the graph.

        Args:
            turned_QD: queries, rotated.
            width: length of the lists.
            viewed: rows that the walk keeps in view, at least `width`.

        Returns:
            Rows, those with the most signs of the query first; -1 where fewer were found: [Q, width].
        """
        self.compares_all = False
        params = self._faiss.SearchParametersHNSW(efSearch=viewed)
        _, rows_QK = self._index.search(signs_of(turned_QD), width, params=params)
        found: NDArray[np.int64] = rows_QK
        return found

    def scan(
        self,
        turned_QD: NDArray[np.float32],
        k: int,
        width: int,
        is_allowed_N: NDArray[np.bool_],
        scores_of: Sequence[ScoresOf] = (),
    ) -> list[Compared]:
        """Compare queries with all allowed rows.

        Args:
            turned_QD: queries, rotated.
            k: how many are wanted.
            width: how many are listed at least, where so many are allowed.
            is_allowed_N: mask of the rows.
            scores_of: for each query, scores of some rows, exactly; needed where a filter may have left nothing near.
                Empty: there is none.

        Returns:
            For each query at least `width` rows, and those that may be among the k best as far as their signs can tell,
            but no more than FARTHER times `width`. With `scores_of` these may be more, which are not clear.
        """
        n_allowed = int(np.count_nonzero(is_allowed_N))
        if not n_allowed:
            return [Compared(np.empty(0, np.int64))] * len(turned_QD)
        return [
            self._scanned(turned_D, k, width, is_allowed_N, n_allowed, scores_of[q] if scores_of else None)
            for q, turned_D in enumerate(turned_QD)
        ]

    def _scanned(
        self,
        turned_D: NDArray[np.float32],
        k: int,
        width: int,
        is_allowed_N: NDArray[np.bool_],
        n_allowed: int,
        scores_of: ScoresOf | None,
    ) -> Compared:
        rows_R, differing_R = self._compared(signs_of(turned_D[None])[0], is_allowed_N, n_allowed)

        def within(farthest: int, most: int) -> NDArray[np.int64]:
            near = np.flatnonzero(differing_R <= farthest)
            by_signs = near[np.argsort(differing_R[near], kind="stable")][:most]
            return by_signs if rows_R is None else rows_R[by_signs]

        listed, doubtful = _farthest(differing_R, min(k, n_allowed), min(width, n_allowed), len(turned_D))
        if scores_of is None or doubtful <= listed:
            return Compared(within(max(listed, doubtful), FARTHER * width))
        scores = scores_of(within(doubtful, max(SCORED, k)))
        reached = float(np.partition(scores, max(0, len(scores) - k))[max(0, len(scores) - k)])
        near = within(max(listed, _differing_at(reached, turned_D)), MOST_SCORED)
        if len(near) <= MOST_ESTIMATED:
            about_R, off = self.estimates(turned_D, near)
            near = near[about_R >= reached - off * SURELY / DOUBT]
        return Compared(near, is_clear=False)

    def shortlist(
        self,
        turned_D: NDArray[np.float32],
        rows_R: NDArray[np.int64],
        k: int,
        sure: int,
        scores_of: ScoresOf | None = None,
    ) -> NDArray[np.bool_]:
        """Compare some rows with a query's own numbers.

        Args:
            turned_D: the query, rotated.
            rows_R: rows.
            k: how many are wanted.
            sure: how many of them must be the best; the others are the best by their signs.
            scores_of: scores of some rows, exactly; see `likely_best`.

        Returns:
            Which of them may be among the best, as far as their signs can tell: [R].
        """
        if len(rows_R) <= k:
            return np.ones(len(rows_R), np.bool_)
        about_R, off = self.estimates(turned_D, rows_R)
        return likely_best(about_R, off, k, sure, scores_of and (lambda places: scores_of(rows_R[places])))

    def estimates(
        self, turned_D: NDArray[np.float32], rows_R: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], float]:
        """Estimate inner products by signs.

        Args:
            turned_D: a query, rotated.
            rows_R: rows, at least one.

        Returns:
            An estimate for each row, [R], and an error that few exceed: DOUBT standard deviations.
        """
        root = np.sqrt(len(turned_D))
        agreeing_R = agreeing(turned_D, self._signs_NB[rows_R]) - float(turned_D.sum())
        about_R: NDArray[np.float64] = agreeing_R * (np.sqrt(np.pi / 2) / root)
        return about_R, float(DOUBT * DEVIATION / root * np.linalg.norm(turned_D))

    def _compared(
        self, signs_B: NDArray[np.uint8], is_allowed_N: NDArray[np.bool_], n_allowed: int
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.integer]]:
        """Rows, and in how many signs each differs from a query. None: all rows; those not allowed differ in most."""
        signs_NB = self._signs_NB
        if n_compared(n_allowed, len(signs_NB)) < n_allowed:
            differing_N = self._differing_of_all(signs_B).astype(np.uint16)
            if n_allowed < len(signs_NB):
                # More than any vector has signs; np.putmask takes seven times as long.
                differing_N |= (is_allowed_N.view(np.uint8) - np.uint8(1)).astype(np.uint16) << 8
            return None, differing_N
        rows_R = np.flatnonzero(is_allowed_N)
        blocks = (rows_R[start : start + ROWS_AT_ONCE] for start in range(0, n_allowed, ROWS_AT_ONCE))
        return rows_R, np.concatenate([differing(signs_B, signs_NB[rows]) for rows in blocks])

    def _differing_of_all(self, signs_B: NDArray[np.uint8]) -> NDArray[np.integer]:
        """The same for all rows, in their order."""
        signs_NB, self.compares_all = self._signs_NB, True
        if (ahead_N := self._ahead.pop(signs_B.tobytes(), None)) is not None:
            return ahead_N
        if len(signs_B) % WORD:
            return differing(signs_B, signs_NB)
        differing_N = np.empty(len(signs_NB), np.int32)
        self._count(signs_B[None], signs_NB, differing_N[None])
        return differing_N

    def _count(
        self, signs_QB: NDArray[np.uint8], signs_RB: NDArray[np.uint8], out_QR: NDArray[np.int32]
    ) -> None:
        """Count the signs in which rows differ from queries; takes a sixth of the time of `differing`."""
        at = self._faiss.swig_ptr
        self._faiss.hammings(
            at(signs_QB), at(signs_RB), len(signs_QB), len(signs_RB), signs_QB.shape[1], at(out_QR)
        )

    @cached_property
    def _signs_NB(self) -> NDArray[np.uint8]:
        """Signs of all vectors, mapped from the file."""
        codes: NDArray[np.uint8] = self._faiss.rev_swig_ptr(self._storage.xb.data(), self._storage.xb.size())
        return codes.reshape(int(self._storage.ntotal), -1)


def n_compared(n_allowed: int, n_rows: int) -> int:
    """What it costs to compare a query with some rows, as a number of rows whose signs are copied for it.

    Args:
        n_allowed: rows that are compared.
        n_rows: of the graph.

    Returns:
        Fewer than are compared where it is cheaper to compare all rows where they lie.
    """
    return min(n_allowed, ceil(n_rows / COPYING))


def _farthest(differing_R: NDArray[np.integer], k: int, width: int, n_signs: int) -> tuple[int, int]:
    """In how many signs the last of `width` rows differs from the query, and one that may be as near as the k-th.

    Of two vectors at a right angle half of the signs differ, by a binomial distribution: its deviation is √n / 2.
    """
    last, kth = max(k, width) - 1, min(k, width) - 1
    nearest = np.partition(differing_R, last)[: last + 1]  # two places at once would take ten times as long
    doubtful = int(np.partition(nearest, kth)[kth]) + floor(DOUBT * sqrt(n_signs) / 2)
    return int(nearest[last]), doubtful


def _differing_at(score: float, turned_D: NDArray[np.float32]) -> int:
    """In how many signs a vector of length 1 differs at most, but for few, that has some score with a query."""
    cosine = min(1.0, max(-1.0, score / (float(np.linalg.norm(turned_D)) or 1.0)))
    n, share = len(turned_D), acos(cosine) / pi
    return floor(n * share + SURELY * sqrt(n * share * (1 - share)))
