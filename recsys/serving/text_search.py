"""Search for items by text: BM25 over their words and the profile of the query, see `recsys/retrieval/fusing.py`."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recsys.publishing.objects import Profiles
from recsys.retrieval.best_words import best_and
from recsys.retrieval.fusing import fused, n_candidates, probabilities
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
        rows_C, words_C = self._candidates(text, query_D, wanted.k, exclude, allowed_I)
        vectors_CD = (
            self._profiles.searcher.vectors_of(rows_C) if len(rows_C) else np.empty((0, len(query_D)))
        )
        user_C = vectors_CD @ self._users.of(known.basis_HD) if known.n_known else None
        scores_C = fused(words_C, vectors_CD @ query_D, user_C, self._weights)
        width = wanted.k * POOL if wanted.diversity else wanted.k
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

    def _candidates(
        self,
        text: str,
        query_D: NDArray[np.floating],
        k: int,
        exclude: set[int],
        allowed_I: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Items that are near to a query or hold its words, ascending, each with its BM25 over the bound."""
        n = n_candidates(k)
        found = self._profiles.searcher.search(query_D[None], n, [exclude], allowed_I).rows_QK[0]
        by_profile = found[found != PAD]
        excluded = np.fromiter(exclude, np.int64, len(exclude))

        def is_left(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
            left = np.ones(len(rows), np.bool_) if allowed_I is None else allowed_I[rows]
            return left & ~np.isin(rows, excluded) if len(excluded) else left

        n_all = len(self._profiles.latest.item_ids)
        return best_and(by_profile, self._lexical.words_of(text), n, n_all, is_left)
