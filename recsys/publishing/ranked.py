"""One user's best items in a release: an index finds candidates, the release's ranker scores them.

The list is the one that scoring every item would give, but for what an approximate index misses.
"""

from collections.abc import Collection, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from recsys.errors import EncoderError, ReleaseError
from recsys.publishing.objects import ObjectFiles
from recsys.publishing.release import File, Manifest
from recsys.ranking.ranker import Ranker
from recsys.ranking.rankers import ranker_class
from recsys.retrieval.segments import PAD, SegmentSearcher

# Shape suffixes: I live items, D dimension, S items that are all scored.


def published_ranker(manifest: Manifest, files: ObjectFiles) -> Ranker:
    """The ranker that a release names.

    Args:
        manifest: the release's.
        files: its objects.

    Returns:
        The ranker.

    Raises:
        ReleaseError: it is unknown here, or the release does not hold it; or a file of it is damaged.
        EncoderError: its content is no such ranker.
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


class RankedSearcher:
    """Items whose score depends on more than their profile are all scored; of the others an index finds the best.

    Args:
        searcher: over the live items.
        ranker: the release's.
        n_items: live items that have an interaction, which the users' Gram matrix sums.
    """

    def __init__(self, searcher: SegmentSearcher, ranker: Ranker, n_items: int) -> None:
        self._searcher = searcher
        self._items = ranker.over(searcher.latest.item_ids)
        self.growth = ranker.growth(n_items)
        """By which λ of the ridge users must be multiplied."""

    def search(
        self, query_D: NDArray[np.float32], history: Sequence[int], k: int, exclude: Collection[int]
    ) -> list[tuple[int, float]]:
        """The k best items; ties go to the smaller item id.

        Args:
            query_D: the user's ridge profile, by a λ that was multiplied by `growth`.
            history: items (positions in `Latest.item_ids`) of the user.
            k: length of the list.
            exclude: items that must not be in it.

        Returns:
            Items with their scores, best first; fewer where there are fewer.
        """
        found = [one for one in self._scored(query_D, history) if one[0] not in exclude]
        for allowed_I, factor in self._items.groups.by_dot:
            allowed = None if allowed_I.all() else allowed_I
            nearest = self._searcher.search(query_D[None], k, [exclude], allowed)
            pairs = zip(nearest.rows_QK[0].tolist(), nearest.scores_QK[0].tolist(), strict=True)
            found += [(row, score * factor * self.growth) for row, score in pairs if row != PAD]
        ids = self._searcher.latest.item_ids
        return sorted(found, key=lambda one: (-one[1], ids[one[0]]))[:k]

    def _scored(self, query_D: NDArray[np.float32], history: Sequence[int]) -> list[tuple[int, float]]:
        """The items that are all scored, with their scores."""
        items_S = self._items.groups.scored
        if not len(items_S):
            return []
        rows = np.array(history, np.int64)
        shape = (1, len(self._searcher.latest.item_ids))
        history_1I = csr_array((np.ones(len(rows), np.float32), (np.zeros(len(rows), np.int64), rows)), shape)
        # einsum, not BLAS: equal vectors get equal scores, wherever they lie
        dot_1S = np.einsum("sd,d->s", self._vectors_SD, query_D)[None] * np.float32(self.growth)
        scores_1S = self._items.score(dot_1S, history_1I, items_S)
        return list(zip(items_S.tolist(), scores_1S[0].tolist(), strict=True))

    @cached_property
    def _vectors_SD(self) -> NDArray[np.float32]:
        """Gathered once: they are read by every list."""
        return self._searcher.vectors_of(self._items.groups.scored)
