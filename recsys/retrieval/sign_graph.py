"""A graph over the signs of vectors (`signs.py`). A walk along it reads a quarter of what copies in 4 bits have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from recsys.retrieval.signs import agreeing, differing, signs_of

# Shape suffixes: Q queries, D dimension, N vectors of one segment, K list, B bytes of signs, R some rows.
NONE = -1
ROWS_AT_ONCE = 65_536
"""Rows whose signs are copied together; those of a million rows of 1,024 numbers would take 128 MB."""
DEVIATION = np.sqrt(np.pi / 2 - 1)
"""Standard deviation of an inner product that is estimated by signs, times √D, for a query and vectors of length 1."""
DOUBT = 2.5
"""Rows are scored by their vectors where they may be this many standard deviations better than their signs say. Of
100,000 profiles that were 30 to 45 rows for the best ten, and held .997 of these."""
FARTHER = 8
"""Where all allowed rows are far from a query, many are about as near as the best, and more signs differ by chance: a
comparison lists up to this many times as many rows as asked for."""


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

    def search(self, turned_QD: NDArray[np.float32], width: int, viewed: int) -> NDArray[np.int64]:
        """Walk along the graph.

        Args:
            turned_QD: queries, rotated.
            width: length of the lists.
            viewed: rows that the walk keeps in view, at least `width`.

        Returns:
            Rows, those with the most signs of the query first; NONE where fewer were found: [Q, width].
        """
        params = self._faiss.SearchParametersHNSW(efSearch=viewed)
        _, rows_QK = self._index.search(signs_of(turned_QD), width, params=params)
        found: NDArray[np.int64] = rows_QK
        return found

    def scan(
        self, turned_QD: NDArray[np.float32], k: int, width: int, is_allowed_N: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Compare queries with all allowed rows.

        Args:
            turned_QD: queries, rotated.
            k: how many are wanted.
            width: how many are listed at least, where so many are allowed.
            is_allowed_N: mask of the rows.

        Returns:
            Rows as `search` gives them; also those that may be among the k best, as far as their signs can tell, but
            no more than FARTHER times `width`: [Q, at least width].
        """
        rows_R, lists = np.flatnonzero(is_allowed_N), []
        for signs_B in signs_of(turned_QD) if len(rows_R) else ():
            differing_R = self._differing(signs_B, rows_R)
            near = np.flatnonzero(differing_R <= _farthest(differing_R, k, width, turned_QD.shape[1]))
            lists.append(rows_R[near[np.argsort(differing_R[near], kind="stable")][: FARTHER * width]])
        rows_QK = np.full((len(turned_QD), max([width, *map(len, lists)])), NONE, np.int64)
        for q, listed in enumerate(lists):
            rows_QK[q, : len(listed)] = listed
        return rows_QK

    def shortlist(
        self, turned_D: NDArray[np.float32], rows_R: NDArray[np.int64], k: int, sure: int
    ) -> NDArray[np.bool_]:
        """Compare some rows with a query's own numbers.

        Args:
            turned_D: the query, rotated.
            rows_R: rows.
            k: how many are wanted.
            sure: how many of them must be the best; the others are the best by their signs.

        Returns:
            Which of them may be among the best, as far as their signs can tell: [R].
        """
        if len(rows_R) <= k:
            return np.ones(len(rows_R), np.bool_)
        root = np.sqrt(len(turned_D))
        about_R = agreeing(turned_D, self._signs_NB[rows_R]) * (np.sqrt(np.pi / 2) / root)
        doubt = DOUBT * DEVIATION / root * float(np.linalg.norm(turned_D))
        kth, last = len(rows_R) - k, len(rows_R) - sure
        parted_R = np.partition(about_R, (kth, last))
        may_be_R: NDArray[np.bool_] = about_R >= min(parted_R[kth], parted_R[last] - doubt)
        return may_be_R

    def _differing(self, signs_B: NDArray[np.uint8], rows_R: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of signs in which some rows differ from a query."""
        signs_NB = self._signs_NB
        if len(rows_R) == len(signs_NB):
            return differing(signs_B, signs_NB)
        blocks = (rows_R[start : start + ROWS_AT_ONCE] for start in range(0, len(rows_R), ROWS_AT_ONCE))
        return np.concatenate([differing(signs_B, signs_NB[rows]) for rows in blocks])

    @property
    def _signs_NB(self) -> NDArray[np.uint8]:
        """Signs of all vectors, mapped from the file."""
        codes: NDArray[np.uint8] = self._faiss.rev_swig_ptr(self._storage.xb.data(), self._storage.xb.size())
        return codes.reshape(int(self._storage.ntotal), -1)


def _farthest(differing_R: NDArray[np.int64], k: int, width: int, n_signs: int) -> float:
    """In how many signs a row may differ from the query to be listed, see `SignGraph.scan`.

    Of two vectors at a right angle half of the signs differ, by a binomial distribution: its deviation is √n / 2.
    """
    places = sorted(min(one, len(differing_R)) - 1 for one in {k, width})
    found = np.partition(differing_R, places)[places]
    return max(float(found[-1]), float(found[0]) + DOUBT * float(np.sqrt(n_signs)) / 2)
