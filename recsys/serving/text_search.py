"""Search for items by text: BM25 over their words and the profile of the query, see `recsys/retrieval/fusing.py`."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.publishing.objects import Profiles
from recsys.retrieval.best_words import best_and
from recsys.retrieval.fusing import fused, n_candidates, probabilities
from recsys.retrieval.in_place import row_by_row
from recsys.retrieval.lexical import LexicalIndex
from recsys.retrieval.ordering import ordered
from recsys.retrieval.segments import PAD
from recsys.serving.answers import Answer, ListRequest, Scored, Taste
from recsys.serving.diversity import POOL
from recsys.serving.lists import Lists
from recsys.serving.text_profiles import TextProfiles
from recsys.serving.user_profiles import UserProfiles

# Shape suffixes: C candidates, D dimension, I live items.


class TextSearch:
    """Search in a release that holds an index of words.

    Args:
        release: its id.
        profiles: of the release.
        lexical: of the same.
        users: make profiles of users.
        texts: make profiles of queries.
        lists: say which items may be in a list.
        weights: `lexical_weight` and `user_weight`, and perhaps `temperature`.
    """

    def __init__(
        self,
        release: str,
        profiles: Profiles,
        lexical: LexicalIndex,
        users: UserProfiles,
        texts: TextProfiles,
        lists: Lists,
        weights: Mapping[str, float],
    ) -> None:
        self._release, self._profiles, self._lexical, self._weights = release, profiles, lexical, weights
        self._users, self._texts, self._lists = users, texts, lists

    def search(self, text: str, wanted: ListRequest, taste: Taste) -> Answer:
        """The items that fit a query.

        Args:
            text: the query.
            wanted: which items, and how many.
            taste: of the user who searches; empty: everybody gets the same.

        Returns:
            At most k items, best first; with probabilities, where the release carries a temperature.

        Raises:
            RequestError: the text says nothing, or a condition names something unknown.
            EncoderError: the model cannot be opened, or its preprocessing is newer than this software.
        """
        query_D = self._texts.of_query(text)
        allowed_I, strangers = self._lists.allowed(wanted)
        known = self._users.known(taste)
        exclude = {*known.likes, *known.dislikes} if wanted.exclude_seen else set()
        width = wanted.k * POOL if wanted.diversity else wanted.k
        near = self._near(query_D, wanted.k, width, exclude, allowed_I)
        rows_C, words_C = self._with_words(text, near[0], wanted.k, exclude, allowed_I)
        user_D = self._users.of(known.basis_HD) if known.n_known else None
        cosine_C, user_C = self._products(rows_C, query_D, near, user_D)
        scores_C = fused(words_C, cosine_C, user_C, self._weights)
        places = ordered(self._profiles.latest.item_ids, rows_C, scores_C, width)
        pairs = list(zip(rows_C[places].tolist(), scores_C[places].tolist(), strict=True))
        chosen = self._with_probabilities(self._lists.chosen(pairs, wanted), rows_C, scores_C)
        return Answer(
            self._release, chosen, "profile", (*known.unknown, *strangers), n_candidates=len(rows_C)
        )

    def _with_probabilities(
        self, chosen: tuple[Scored, ...], rows_C: NDArray[np.int64], scores_C: NDArray[np.float64]
    ) -> tuple[Scored, ...]:
        temperature = self._weights.get("temperature")
        if temperature is None:
            return chosen
        found_C = probabilities(scores_C, temperature)
        at = np.searchsorted(rows_C, self._profiles.latest.item_ids.rows_of([one.item_id for one in chosen]))
        return tuple(
            replace(one, probability=float(found_C[place]))
            for one, place in zip(chosen, at.tolist(), strict=True)
        )

    def _near(
        self,
        query_D: NDArray[np.floating],
        k: int,
        width: int,
        exclude: set[int],
        allowed_I: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Candidates that are near to a query, ascending, and their cosines; of `width` places they are the nearest."""
        found = self._profiles.searcher.search(
            query_D[None], n_candidates(k), [exclude], allowed_I, sure=width
        )
        rows, cosines = found.rows_QK[0], found.scores_QK[0]
        order = np.argsort(rows)[np.count_nonzero(rows == PAD) :]
        return rows[order], cosines[order]

    def _with_words(
        self,
        text: str,
        near: NDArray[np.int64],
        k: int,
        exclude: set[int],
        allowed_I: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """These items and those that hold a query's words, ascending, each with its BM25 over the bound."""
        excluded = np.fromiter(exclude, np.int64, len(exclude))

        def is_left(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            left = np.ones(len(rows), np.bool_) if allowed_I is None else allowed_I[rows]
            return left & ~np.isin(rows, excluded) if len(excluded) else left

        n_all = len(self._profiles.latest.item_ids)
        return best_and(near, self._lexical.words_of(text), n_candidates(k), n_all, is_left)

    def _products(
        self,
        rows_C: NDArray[np.int64],
        query_D: NDArray[np.float32],
        near: tuple[NDArray[np.int64], NDArray[np.float64]],
        user_D: NDArray[np.float32] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Inner products of candidates with the query, and with the user; what is known already is read no more."""
        searcher, (rows, cosines) = self._profiles.searcher, near
        if user_D is not None and len(rows_C):
            vectors_CD = searcher.vectors_of(rows_C)
            return row_by_row(vectors_CD, query_D), row_by_row(vectors_CD, user_D)
        cosine_C = np.empty(len(rows_C))
        is_near_C = np.isin(rows_C, rows, assume_unique=True)
        cosine_C[is_near_C] = cosines
        cosine_C[~is_near_C] = searcher.scores(query_D, rows_C[~is_near_C])
        return cosine_C, None
