"""Find a user's best items in a release: an index finds candidates, the release's ranker scores them.

The list is that of scoring every item, except for what an approximate index misses.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import EncoderError, ReleaseError
from recsys.publishing.objects import ObjectFiles
from recsys.publishing.release import File, Manifest
from recsys.ranking.ranker import Ranker
from recsys.ranking.rankers import ranker_class
from recsys.ranking.typical import Typical
from recsys.retrieval.coarse import CoarseRows
from recsys.retrieval.ordering import ordered
from recsys.retrieval.segments import PAD, SegmentSearcher

# Shape suffixes: I live items, D dimension, S items that are all scored, G items of a small group, C candidates.
GATHERED = 10_000
"""A group of at most so many items is compared whole: in a large catalogue an index would look past most others."""


def published_ranker(manifest: Manifest, files: ObjectFiles) -> Ranker:
    """The ranker that a release names.

    Args:
        manifest: the release's.
        files: its objects.

    Returns:
        The ranker.

    Raises:
        ReleaseError: it is unknown to this version, or a file of it is missing or damaged.
        EncoderError: its file is not one of such a ranker.
    """
    ranker = manifest.model.ranker
    try:
        kind = ranker_class(ranker.name, len(ranker.files))
    except EncoderError as error:
        raise ReleaseError(
            f"release {manifest.id} is ranked by {ranker.name}, which it does not hold",
            remedy="upgrade firstlight-recsys where you read, or roll back to an older release",
        ) from error
    packed = ranker.files[: kind.n_files]
    return kind.load([files.path(File(**file.model_dump())) for file in packed])


@dataclass(frozen=True)
class _Group:
    """Items whose inner products order them."""

    mask_I: NDArray[np.bool_] | None
    """Items of the group; None: all items."""
    factor: float
    """Factor on the inner products of these items."""
    items_G: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    """Items of a small group, ascending."""
    coarse: CoarseRows | None = None
    """Of the vectors of a small group; None: the index is asked."""


Items = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Items and their scores."""


class RankedSearcher:
    """Scores all items whose score depends on more than their profile; an index finds the best of the others.

    Args:
        searcher: over the live items.
        ranker: the release's.
        n_items: live items with an interaction, over which the users' Gram matrix is summed.
        typical: what users of whom little is known take a share of; None where nobody likes anything.
        viewed: rows of a graph to keep in view, see `SegmentSearcher.search`.
    """

    def __init__(
        self,
        searcher: SegmentSearcher,
        ranker: Ranker,
        n_items: int,
        typical: Typical | None = None,
        viewed: int = 0,
    ) -> None:
        self._searcher = searcher
        self._viewed = viewed
        self._typical = typical
        self._items = ranker.over(searcher.latest.item_ids)
        self.growth = ranker.growth(n_items)
        """Factor on λ of the ridge users."""

    def search(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None = None,
        typical_share: float = 0.0,
    ) -> list[tuple[int, float]]:
        """Find the k best items; of equal scores the smaller item id wins.

        Args:
            query_D: the user's ridge profile, with λ times `growth`, the share of the typical history included.
            history: items (positions in `Latest.item_ids`) of the user.
            k: length of the list.
            exclude: items that must not be in the list.
            only_I: items that may be in the list; None: all.
            typical_share: how much of the typical history the user takes.

        Returns:
            Items with their scores, best first; fewer than k where there are fewer.
        """
        skipped = np.fromiter(exclude, np.int64, len(exclude))
        rows, scores = np.empty(0, np.int64), np.empty(0)
        for group in self._groups:
            factor = group.factor * self.growth
            if group.coarse is None:
                items, dots = self._nearest(group, query_D, k, exclude, only_I)
            else:
                least = _last_of(scores, k) / factor
                items, dots = self._compared(group.items_G, group.coarse, query_D, k, skipped, only_I, least)
            rows, scores = np.concatenate([rows, items]), np.concatenate([scores, dots * factor])
        least = _last_of(scores, k)  # what is below is not even read
        items, whole = self._best_scored(query_D, history, k, skipped, only_I, typical_share, least)
        rows, scores = np.concatenate([rows, items]), np.concatenate([scores, whole])
        places = ordered(self._searcher.latest.item_ids, rows, scores, k)
        return list(zip(rows[places].tolist(), scores[places].tolist(), strict=True))

    def scores(
        self, dots_HC: NDArray[np.floating], histories: Sequence[Sequence[int]], candidates: NDArray[np.int64]
    ) -> NDArray[np.floating]:
        """Score any items as lists are ordered.

        Args:
            dots_HC: inner products of H queries with the candidates.
            histories: items of each query's user, as in `search`.
            candidates: items.

        Returns:
            scores_HC.
        """
        lengths = [len(history) for history in histories]
        rows = np.concatenate([np.empty(0, np.int64), *(np.asarray(one, np.int64) for one in histories)])
        shape = (len(histories), len(self._searcher.latest.item_ids))
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        histories_HI = csr_array((np.ones(len(rows), np.float32), rows, starts), shape)
        return self._items.score(dots_HC * np.float32(self.growth), histories_HI, candidates)

    def _best_scored(
        self,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        k: int,
        skipped: NDArray[np.int64],
        only_I: NDArray[np.bool_] | None,
        typical_share: float,
        least: float,
    ) -> Items:
        """The items that must all be scored, as far as they are among the k best and not surely below `least`."""
        groups, coarse = self._items.groups, self._scored
        if coarse is None:
            return groups.scored, np.empty(0)
        factor_S = groups.factor_S * self.growth
        own_S = self.scores(np.zeros((1, len(groups.scored)), np.float32), [history], groups.scored)[0]
        added_S = own_S.astype(np.float64)
        if typical_share:
            added_S += typical_share * self._typical_S
        is_left_S = _left(groups.scored, skipped, only_I)
        places = coarse.may_be_best(query_D, k, is_left_S, factor_S, added_S, least)
        items = groups.scored[places]
        if not len(items):
            return items, np.empty(0)
        # einsum, not BLAS: equal vectors get equal scores at any place
        dots_C = np.einsum("cd,d->c", self._searcher.vectors_of(items), query_D) * np.float32(self.growth)
        scores_C = (dots_C * groups.factor_S[places] + own_S[places]).astype(np.float64)
        if typical_share:
            scores_C += typical_share * self._typical_S[places]
        return items, scores_C

    def typical_scores(self, candidates: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the ranker adds to the scores of candidates for the whole typical history, [C]."""
        if self._typical is None:
            return np.zeros(len(candidates))
        history_1I = self._typical.history(len(self._searcher.latest.item_ids))
        nothing_1C = np.zeros((1, len(candidates)), np.float32)
        added_C: NDArray[np.float64] = self._items.score(nothing_1C, history_1I, candidates)[0].astype(
            np.float64
        )
        return added_C

    @cached_property
    def _typical_S(self) -> NDArray[np.float64]:
        return self.typical_scores(self._items.groups.scored)

    def _nearest(
        self,
        group: "_Group",
        query_D: NDArray[np.float32],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None,
    ) -> Items:
        """The k items of a group with the largest inner products, by the index."""
        mask_I = group.mask_I
        allowed_I = mask_I if only_I is None else only_I if mask_I is None else mask_I & only_I
        nearest = self._searcher.search(query_D[None], k, [exclude], allowed_I, self._viewed)
        rows_K, dots_K = nearest.rows_QK[0], nearest.scores_QK[0]
        return rows_K[rows_K != PAD], dots_K[rows_K != PAD]

    def _compared(
        self,
        items_G: NDArray[np.int64],
        coarse: CoarseRows,
        query_D: NDArray[np.float32],
        k: int,
        skipped: NDArray[np.int64],
        only_I: NDArray[np.bool_] | None,
        least: float,
    ) -> Items:
        """The same as `_nearest`, by comparing all items of a small group, but without those surely below `least`."""
        one_G, nothing_G = np.ones(len(items_G)), np.zeros(len(items_G))
        is_left_G = _left(items_G, skipped, only_I)
        places = coarse.may_be_best(query_D, k, is_left_G, one_G, nothing_G, least)
        return items_G[places], self._searcher.scores(query_D, items_G[places])

    @cached_property
    def _groups(self) -> list["_Group"]:
        """Groups that hold an item, those behind the index first: nothing is read of others that score less."""
        found = [self._group(mask_I, factor) for mask_I, factor in self._items.groups.by_dot if mask_I.any()]
        return sorted(found, key=lambda group: group.coarse is not None)

    def _group(self, mask_I: NDArray[np.bool_], factor: float) -> "_Group":
        if mask_I.all():
            return _Group(None, factor)
        if np.count_nonzero(mask_I) > GATHERED:
            return _Group(mask_I, factor)
        items_G = np.flatnonzero(mask_I)
        return _Group(mask_I, factor, items_G, CoarseRows.of(self._searcher.vectors_of(items_G)))

    @cached_property
    def _scored(self) -> CoarseRows | None:
        """Of the items that must all be scored, gathered once for all lists."""
        items_S = self._items.groups.scored
        return CoarseRows.of(self._searcher.vectors_of(items_S)) if len(items_S) else None


def _last_of(scores: NDArray[np.float64], k: int) -> float:
    """The k-th best of some scores; -inf where there are fewer."""
    return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if len(scores) >= k else -np.inf


def _left(
    items_N: NDArray[np.int64], skipped: NDArray[np.int64], only_I: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Which of some items, ascending, may be in a list, [N]."""
    is_left_N = np.ones(len(items_N), np.bool_) if only_I is None else only_I[items_N]
    at = np.minimum(np.searchsorted(items_N, skipped), len(items_N) - 1)
    is_left_N[at[items_N[at] == skipped]] = False
    return is_left_N
