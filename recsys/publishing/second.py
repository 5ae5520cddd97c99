"""Rank again what a release recalls: the best candidates of the first ranker, by the model's second ranker.

The list is that of judging (`recsys/ranking/recommender.py`), except for what an approximate index misses.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.publishing.ranked import RankedSearcher
from recsys.ranking.ranker import SecondRanker
from recsys.ranking.recommender import ROOM
from recsys.ranking.shortlist import Shortlist, popularity_of
from recsys.ranking.traits import TraitNumbers
from recsys.retrieval.ordering import ordered
from recsys.retrieval.segments import SegmentSearcher

# Shape suffixes: I live items, C candidates, H things known of a user, D dimension.


class SecondSearcher:
    """Finds lists as they are shown.

    Args:
        ranked: recalls candidates.
        second: ranks the best of them again; None: lists are those of `ranked`.
        searcher: over the live items.
        n_users_of: gives the number of users of each item; called when it is first needed.
        lexical_width: leading dimensions of profiles that hold words.
        traits_of: gives the traits of the items that the second ranker reads; called when they are first needed.
    """

    def __init__(
        self,
        ranked: RankedSearcher,
        second: SecondRanker | None,
        searcher: SegmentSearcher,
        n_users_of: Callable[[], NDArray[np.integer]],
        lexical_width: int,
        traits_of: Callable[[], TraitNumbers | None] = lambda: None,
    ) -> None:
        self._ranked = ranked
        self.second = second
        self._searcher = searcher
        self._n_users_of = n_users_of
        self._lexical_width = lexical_width
        self._traits_of = traits_of

    def search(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        basis_HD: NDArray[np.float32],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None = None,
        typical_share: float = 0.0,
    ) -> list[tuple[int, float]]:
        """Find the k best items. Those that are not ranked again follow in the order of the first ranker.

        Args:
            query_D: as in `RankedSearcher.search`, and so are the arguments that are not named here.
            history: items of the user.
            basis_HD: profiles of what is known of the user: of these items, and of words.
            k: length of the list.
            exclude: items that must not be in the list.
            only_I: items that may be in the list; None: all.
            typical_share: how much of the typical history the user takes.

        Returns:
            Items with their scores, best first.
        """
        if self.second is None:
            return self._ranked.search(query_D, history, k, exclude, only_I, typical_share)
        depth = self.second.depth
        found = self._ranked.search(query_D, history, max(k, depth), exclude, only_I, typical_share)
        if not found:
            return found
        rows = np.array([row for row, _ in found[:depth]], np.int64)
        score_C = np.array([score for _, score in found[:depth]], np.float32)
        again_C = self.second.scores(self._shortlist(query_D, history, basis_HD, rows, score_C))
        places = ordered(self._searcher.latest.item_ids, rows, again_C.astype(np.float64), k)
        rest = [(row, -ROOM - place) for place, (row, _) in enumerate(found[depth:k], depth)]
        return [*zip(rows[places].tolist(), again_C[places].tolist(), strict=True), *rest]

    def shortlist(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        basis_HD: NDArray[np.float32],
        rows: NDArray[np.int64],
        typical_share: float = 0.0,
    ) -> Shortlist:
        """What the second ranker reads of a user and any items.

        Args:
            query_D: as in `search`.
            history: items of the user.
            basis_HD: as in `search`.
            rows: the items.
            typical_share: how much of the typical history the user takes.

        Returns:
            The shortlist, in the order of the items.
        """
        dots_C = np.einsum("cd,d->c", self._searcher.vectors_of(rows), query_D)
        score_C = self._ranked.scores(dots_C[None], [history], rows)[0].astype(np.float32)
        if typical_share:
            score_C = score_C + np.float32(typical_share) * self._ranked.typical_scores(rows).astype(
                np.float32
            )
        return self._shortlist(query_D, history, basis_HD, rows, score_C)

    def _shortlist(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        basis_HD: NDArray[np.float32],
        rows: NDArray[np.int64],
        score_C: NDArray[np.float32],
    ) -> Shortlist:
        vectors_CD = self._searcher.vectors_of(rows)
        growth, liked_H = np.float32(self._ranked.growth), np.array(history, np.int64)
        return Shortlist(
            user_D=query_D * growth,
            items_CD=vectors_CD,
            history_HD=basis_HD,
            profile_C=np.einsum("cd,d->c", vectors_CD, query_D) * growth,
            score_C=score_C,
            popularity_C=self._popularity_I[rows],
            popularity_H=self._popularity_I[liked_H],
            is_new_C=self._popularity_I[rows] == 0,
            lexical_width=self._lexical_width,
            traits_CF=None if self._traits is None else self._traits.of(rows, liked_H),
        )

    @cached_property
    def _popularity_I(self) -> NDArray[np.float32]:
        return popularity_of(self._n_users_of())

    @cached_property
    def _traits(self) -> TraitNumbers | None:
        return self._traits_of()
