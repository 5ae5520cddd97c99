"""Find a user's best items in a release: an index finds candidates, the release's ranker scores them.

The list is that of scoring every item, except for what an approximate index misses, and for what signs of wide profiles
rule out by chance (`recsys/retrieval/coarse.py`: in less than one of 100,000 lists).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import EncoderError, ReleaseError
from recsys.publishing.entries import File
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.release import Manifest
from recsys.ranking.ranker import Ranker
from recsys.ranking.rankers import ranker_class
from recsys.ranking.typical import Typical
from recsys.retrieval.coarse import CoarseRows
from recsys.retrieval.ordering import ordered
from recsys.retrieval.segments import PAD, SegmentSearcher

# Shape suffixes: I live items, D dimension, S items that are all scored, G items of a small group, C candidates.
GATHERED = 10_000
"""A group of at most so many items is compared whole: in a large catalogue an index would look past most others."""

FEW_LEFT_OUT = 100
"""So many items less, such as withheld ones, leave enough near every query: an index looks at more of them anyway."""


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
class _Behind:
    """Items of which the index finds the best: their inner products order them."""

    mask_I: NDArray[np.bool_] | None
    """None: all items."""
    factor: float
    """Factor on the inner products of these items."""


@dataclass(frozen=True)
class _Compared:
    """Items that are compared with every user: those whose scores depend on more, and those of small groups."""

    items_S: NDArray[np.int64]
    """Ascending."""
    factor_S: NDArray[np.float64]
    """Factor on the inner product of each, the growth included."""
    coarse: CoarseRows
    """Of their vectors, gathered once for all lists."""


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
        rows, scores = np.empty(0, np.int64), np.empty(0)
        for behind in self._behind:
            items, dots = self._nearest(behind, query_D, k, exclude, only_I)
            factor = behind.factor * self.growth
            rows, scores = np.concatenate([rows, items]), np.concatenate([scores, dots * factor])
        if self._compared is not None:
            least = _last_of(scores, k)  # what is below is not even read
            items, whole = self._best_compared(
                self._compared, query_D, history, k, exclude, only_I, typical_share, least
            )
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

    def _best_compared(
        self,
        compared: _Compared,
        query_D: NDArray[np.float32],
        history: Sequence[int],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None,
        typical_share: float,
        least: float,
    ) -> Items:
        """Those of the compared items that are among the k best and not surely below `least`."""
        items_S = compared.items_S
        added_S = self._items.added(np.asarray(history, np.int64), items_S).astype(np.float64)
        if typical_share:
            added_S += typical_share * self._typical_S
        is_left_S = _left(items_S, np.fromiter(exclude, np.int64, len(exclude)), only_I)
        places = compared.coarse.possible_best(query_D, k, is_left_S, compared.factor_S, added_S, least)
        items = items_S[places]
        if not len(items):
            return items, np.empty(0)
        dots_C = self._searcher.scores(query_D, items)  # as those behind the index are scored
        return items, dots_C * compared.factor_S[places] + added_S[places]

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
        return np.empty(0) if self._compared is None else self.typical_scores(self._compared.items_S)

    def _nearest(
        self,
        behind: _Behind,
        query_D: NDArray[np.float32],
        k: int,
        exclude: Collection[int],
        only_I: NDArray[np.bool_] | None,
    ) -> Items:
        """The k items of a group with the largest inner products, by the index."""
        mask_I = behind.mask_I
        allowed_I = mask_I if only_I is None else only_I if mask_I is None else mask_I & only_I
        is_filtered = only_I is not None and int(np.count_nonzero(only_I)) < len(only_I) - FEW_LEFT_OUT
        nearest = self._searcher.search(
            query_D[None], k, [exclude], allowed_I, self._viewed, is_filtered=is_filtered
        )
        rows_K, dots_K = nearest.rows_QK[0], nearest.scores_QK[0]
        return rows_K[rows_K != PAD], dots_K[rows_K != PAD]

    @cached_property
    def _behind(self) -> list[_Behind]:
        """Groups of which the index finds the best."""
        by_dot = self._items.groups.by_dot
        return [
            _Behind(None if mask_I.all() else mask_I, factor)
            for mask_I, factor in by_dot
            if _is_large(mask_I)
        ]

    @cached_property
    def _compared(self) -> _Compared | None:
        groups = self._items.groups
        items, factors = [groups.scored], [groups.factor_S]
        for mask_I, factor in groups.by_dot:
            if not _is_large(mask_I):
                items.append(np.flatnonzero(mask_I))
                factors.append(np.full(len(items[-1]), factor, np.float32))
        items_S, factor_S = np.concatenate(items), np.concatenate(factors)
        if not len(items_S):
            return None
        order = np.argsort(items_S)
        items_S = items_S[order]
        whole_S = factor_S[order].astype(np.float64) * self.growth
        return _Compared(items_S, whole_S, CoarseRows.of(self._searcher.vectors_of(items_S)))


def _is_large(mask_I: NDArray[np.bool_]) -> bool:
    """Whether an index finds the best of a group faster than a comparison of all."""
    n = int(np.count_nonzero(mask_I))
    return n > GATHERED or 0 < n == len(mask_I)


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
