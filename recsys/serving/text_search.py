"""Search for items by text: BM25 over their words and the profile of the query, see `recsys/retrieval/fusing.py`."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.publishing.released_profiles import Profiles
from recsys.retrieval.best_words import best_and
from recsys.retrieval.estimates import estimates, near_items
from recsys.retrieval.fusing import fused, n_candidates, possible_best, probabilities
from recsys.retrieval.in_place import row_by_row
from recsys.retrieval.lexical import LexicalIndex
from recsys.retrieval.ordering import ordered
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
        near = near_items(
            self._profiles.searcher,
            query_D,
            n_candidates(wanted.k),
            exclude,
            allowed_I,
            min(width, n_candidates(wanted.k)),
        )
        rows_C, words_C = self._with_words(text, near, wanted.k, exclude, allowed_I)
        if known.n_known:
            vectors_CD = self._profiles.searcher.vectors_of(rows_C)
            cosine_C = row_by_row(vectors_CD, query_D)
            user_C = row_by_row(vectors_CD, self._users.of(known.basis_HD))
        else:
            cosine_C, user_C = self._cosines(query_D, rows_C, words_C, width), None
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
        """Probabilities over all candidates; scores of those that cannot be in the list may be estimates."""
        temperature = self._weights.get("temperature")
        if temperature is None:
            return chosen
        found_C = probabilities(scores_C, temperature)
        at = np.searchsorted(rows_C, self._profiles.latest.item_ids.rows_of([one.item_id for one in chosen]))
        return tuple(
            replace(one, probability=float(found_C[place]))
            for one, place in zip(chosen, at.tolist(), strict=True)
        )

    def _with_words(
        self,
        text: str,
        near: NDArray[np.int64],
        k: int,
        exclude: set[int],
        allowed_I: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """These items and those that hold a query's words, ascending, each with its BM25 over the bound."""
        n_all, found = len(self._profiles.latest.item_ids), self._lexical.words_of(text)
        if allowed_I is None and not exclude:
            return best_and(near, found, n_candidates(k), n_all)
        excluded = np.fromiter(exclude, np.int64, len(exclude))

        def is_left(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            left = np.ones(len(rows), np.bool_) if allowed_I is None else allowed_I[rows]
            return left & ~np.isin(rows, excluded) if len(excluded) else left

        return best_and(near, found, n_candidates(k), n_all, is_left)

    def _cosines(
        self,
        query_D: NDArray[np.float32],
        rows_C: NDArray[np.int64],
        words_C: NDArray[np.floating],
        width: int,
    ) -> NDArray[np.float64]:
        """Cosines of candidates with the query: exact for those that may be in the list, or are the nearest."""
        cosine_C, off_C = estimates(self._profiles.searcher, query_D, rows_C)

        def read(wanted_C: NDArray[np.bool_]) -> None:
            places = np.flatnonzero(wanted_C & (off_C > 0))
            if len(places):
                cosine_C[places] = self._profiles.searcher.scores(query_D, rows_C[places])
                off_C[places] = 0

        size_C = np.abs(cosine_C)
        read(size_C + off_C >= (size_C - off_C).max(initial=-np.inf))  # the largest one scales all others
        read(possible_best(words_C, cosine_C, off_C, self._weights, width))
        return cosine_C
