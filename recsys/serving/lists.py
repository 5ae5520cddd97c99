"""Common parts of all lists: which items may be in a list, how it is cut, and the ids of its items."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.completion import directions
from recsys.publishing.released_profiles import Profiles
from recsys.serving.answers import ListRequest, Scored
from recsys.serving.arguments import known_rows
from recsys.serving.diversity import POOL, diversified
from recsys.serving.filters import Filters
from recsys.serving.withholding import Withholding

# Shape suffixes: I live items, N pool, D dimension.


class Lists:
    """Lists of one release's items.

    Args:
        profiles: of the release.
        filters: of the same.
        withholding: of the same.
    """

    def __init__(self, profiles: Profiles, filters: Filters, withholding: Withholding) -> None:
        self._profiles = profiles
        self._filters = filters
        self._withholding = withholding

    def allowed(self, wanted: ListRequest) -> tuple[NDArray[np.bool_] | None, list[str]]:
        """Which items may be in a list.

        Args:
            wanted: its conditions and candidates.

        Returns:
            A mask over the live items, None where all may be in it; and the candidates that the release does not hold.

        Raises:
            RequestError: a condition names something unknown.
        """
        allowed_I = _both(self._filters.allowed(wanted.where), self._withholding.allowed())
        if wanted.candidates is None:
            return allowed_I, []
        rows, unknown = known_rows(wanted.candidates, self._profiles.latest.item_ids)
        chosen_I = np.zeros(len(self._profiles.latest.item_ids), np.bool_)
        chosen_I[rows] = True
        return _both(chosen_I, allowed_I), unknown

    def chosen(self, ranked: Sequence[tuple[int, float]], wanted: ListRequest) -> tuple[Scored, ...]:
        """Cut a list out of more items than it may have.

        Args:
            ranked: rows with their scores, best first.
            wanted: length, and how diverse.

        Returns:
            At most `wanted.k` items, best first.
        """
        if wanted.diversity and ranked:
            pool = ranked[: wanted.k * POOL]
            vectors_ND = self._profiles.searcher.vectors_of(np.array([row for row, _ in pool]))
            alike_ND = directions(vectors_ND, self._profiles.manifest.model.lexical_width)
            places = diversified([score for _, score in pool], alike_ND, wanted.k, wanted.diversity)
            return self.named([pool[place] for place in places])
        return self.named(ranked[: wanted.k])

    def named(self, found: Sequence[tuple[int, float]]) -> tuple[Scored, ...]:
        """Rows with their scores as items."""
        ids = self._profiles.latest.item_ids
        return tuple(Scored(ids[row], score) for row, score in found)


def _both(a_I: NDArray[np.bool_] | None, b_I: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Items that both masks allow; None allows all."""
    if a_I is None or b_I is None:
        return b_I if a_I is None else a_I
    return a_I & b_I
