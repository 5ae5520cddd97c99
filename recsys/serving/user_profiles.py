"""What is known of a user, and the profile that it gives.

A user is w = (XᵀX + λΣ⁻¹)⁻¹ b with b = Σ x over the items that the user likes, plus `text_weight` times the profile of
words about the user, plus a share of what a typical user likes where little is known (`recsys/ranking/typical.py`).
Where the model has a weighting, each x counts by how strong the like is, and dislikes count below 0
(`recsys/catalogue/weighting.py`); it may count likes less that others resemble (`recsys/profiles/alike.py`).
`recsys/profiles/ridge.py` has the metric.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.opinions import disliked_items, liked_items, weights_of
from recsys.catalogue.params import FeedbackParams
from recsys.profiles.alike import alike_factors
from recsys.profiles.ridge import Ridge
from recsys.publishing.released_profiles import Profiles
from recsys.ranking.typical import Typical, typical_share
from recsys.serving.answers import Taste
from recsys.serving.arguments import known_rows
from recsys.serving.feedback_events import Event
from recsys.serving.feedback_opinions import merge
from recsys.serving.text_profiles import TextProfiles

# Shape suffixes: H things known of a user, D dimension.


@dataclass(frozen=True)
class Known:
    """What a release can make of a taste, as rows of its items."""

    likes: list[int]
    dislikes: list[int]
    counting: list[int]
    """Dislikes that count against the profile."""
    unknown: list[str]
    """Liked items that the release does not hold."""
    basis_HD: NDArray[np.float32]
    """What sums to b: a row for each like, one for text where there is some, one for each of `counting`."""
    likes_HD: NDArray[np.float32]
    """Profiles of likes, and one of text where there is some, unweighted; no row: nothing is known of the user."""

    @property
    def n_known(self) -> int:
        """Likes, and one for text. 0: nothing is known of the user."""
        return len(self.likes_HD)


@dataclass(frozen=True, eq=False)
class User:
    """A user as lists need them."""

    taste: Taste
    known: Known
    share: float
    """Of the typical history, that the profile takes."""
    query_D: NDArray[np.float32] | None
    """The profile w; None where nothing is known."""


class UserProfiles:
    """Users of one release, and whoever else is described by items and words.

    Args:
        profiles: of the release.
        texts: of the same.
        growth: factor on λ, see `Ranker.growth`.
        weights: `text_weight`, how much words about a user count beside one liked item, and `typical_weight`.
        typical: what a typical user likes; None where nobody likes anything.
    """

    def __init__(
        self,
        profiles: Profiles,
        texts: TextProfiles,
        growth: float,
        weights: Mapping[str, float],
        typical: Typical | None,
    ) -> None:
        self._profiles = profiles
        self._texts = texts
        self._growth = growth
        self._weights = weights
        self._typical = typical

    @cached_property
    def ridge(self) -> Ridge:
        """Ridge regression of the release; with a ranker that grows, λ grows with the items that have interactions."""
        return self._profiles.ridge(self._growth)

    def taste_of(
        self, pseudonym: str, feedback: Sequence[Event] = (), rules: FeedbackParams | None = None
    ) -> Taste:
        """What is known of a user: by the release, and by what they did since.

        Args:
            pseudonym: the user's.
            feedback: events that the release does not hold yet, in order of arrival.
            rules: which events are likes; needed where there is feedback.

        Returns:
            Empty for somebody of whom nothing is known. With feedback it is what the next release will know.
        """
        weighting = self._profiles.manifest.model.weighting
        if weighting.is_yes_or_no and not feedback and (rows := self._profiles.opinion_rows_of(pseudonym)):
            return Taste(*rows)
        found = before = self._profiles.opinions_of(pseudonym)
        added = frozenset[str]()
        if feedback and rules is not None:
            found = merge(before, feedback, rules, weighting.scales)
            added = frozenset(liked_items(found)) - frozenset(liked_items(before))
        weights = {}
        if not weighting.is_yes_or_no:
            weights = dict(
                zip(found["item_id"].to_pylist(), weights_of(found, weighting).tolist(), strict=True)
            )
        return Taste(liked_items(found), disliked_items(found), feedback=added, weights=weights)

    def rows_of(self, items: Iterable[str | int]) -> tuple[list[int], list[str]]:
        """Rows of the items that the release holds, each once, in order; and the ids of the others."""
        return known_rows(items, self._profiles.latest.item_ids)

    def known(self, taste: Taste) -> Known:
        """What the release can make of a taste.

        Args:
            taste: what is known of the user.

        Returns:
            Rows of the items, and what sums to b.
        """
        likes, unknown = self.rows_of(taste.likes)
        dislikes, _ = self.rows_of(taste.dislikes)
        likes_HD, counting = self._basis(likes, taste.text), list[int]()
        basis_HD = likes_HD
        model = self._profiles.manifest.model
        if model.weighting.alike and likes:
            basis_HD = likes_HD.copy()
            factors_L = alike_factors(likes_HD[: len(likes)], model.weighting.alike, model.lexical_width)
            basis_HD[: len(likes)] *= factors_L.astype(np.float32)[:, None]
        if taste.weights and len(likes_HD):
            basis_HD = basis_HD.copy()
            ids = self._profiles.latest.item_ids
            weights_L = [max(taste.weights.get(ids[row], 0.0), 0.0) or 1.0 for row in likes]
            basis_HD[: len(likes)] *= np.array(weights_L, np.float32)[:, None]
            counting = [row for row in dislikes if taste.weights.get(ids[row], 0.0) < 0]
        if counting:
            weights_C = np.array([taste.weights[ids[row]] for row in counting], np.float32)
            against_CD = self._profiles.searcher.vectors_of(np.array(counting)) * weights_C[:, None]
            basis_HD = np.concatenate([basis_HD, against_CD])
        return Known(likes, dislikes, counting, unknown, basis_HD, likes_HD)

    def user(self, taste: Taste) -> User:
        """A user of whom this is known."""
        known = self.known(taste)
        share = self.typical_share(known.n_known)
        return User(taste, known, share, self.of(known.basis_HD, share) if known.n_known else None)

    def _basis(self, rows: Sequence[int], text: str) -> NDArray[np.float32]:
        """Profiles of liked items, and one of text, [H, D]."""
        parts = [self._profiles.searcher.vectors_of(np.array(rows))] if rows else []
        if text.strip():
            parts.append((self._weights["text_weight"] * self._texts.of_query(text))[None].astype(np.float32))
        if not parts:
            return np.empty((0, self._profiles.manifest.model.dim), np.float32)
        return np.concatenate(parts)

    def typical_share(self, n_known: int) -> float:
        """How much of the typical history a user takes of whom so many things are known."""
        return 0.0 if self._typical is None else typical_share(self._weights["typical_weight"], n_known)

    def of(self, basis_HD: NDArray[np.float32], share: float = 0.0) -> NDArray[np.float32]:
        """The profile w of a user, float32 [d].

        Args:
            basis_HD: see `Known`.
            share: of the typical history; 0: the user's own taste alone.

        Returns:
            The vector.
        """
        b_D = basis_HD.sum(axis=0, dtype=np.float64)
        if share:
            b_D = b_D + share * self._typical_D
        user_D: NDArray[np.float32] = self.ridge.weights(b_D[None])[0]
        return user_D

    @cached_property
    def _typical_D(self) -> NDArray[np.float64]:
        """The mean profile of what a typical user likes."""
        if self._typical is None:
            return np.zeros(self._profiles.manifest.model.dim)
        return self._typical.profile(self._profiles.searcher.vectors_of(self._typical.rows_T))
