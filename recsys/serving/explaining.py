"""Why an item has its score for a user: what each known thing about the user adds to it."""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from recsys.errors import RequestError
from recsys.features.text import FIELD_END
from recsys.profiles.facts import SharedFact
from recsys.publishing.ranked import RankedSearcher
from recsys.publishing.released_profiles import Profiles
from recsys.serving.answers import Contribution, Explanation, Source, Taste
from recsys.serving.items import Items
from recsys.serving.text_profiles import TextProfiles
from recsys.serving.user_profiles import UserProfiles

MOST_SHARED = 5
"""Maximum number of facts named for two items."""
_KEPT = "#%&@*"
"""Punctuation that changes what a word says, as in C#."""
# Shape suffixes: H things known of a user, D dimension, W words.


class Explainer:
    """Explains scores of one release.

    Args:
        profiles: of the release; its `users`, `texts`, `items` and `ranked` are below.
        users: make profiles of users.
        texts: make profiles of words.
        items: know rows and texts of items.
        ranked: orders lists.
    """

    def __init__(
        self,
        profiles: Profiles,
        users: UserProfiles,
        texts: TextProfiles,
        items: Items,
        ranked: RankedSearcher,
    ) -> None:
        self._profiles, self._users, self._texts = profiles, users, texts
        self._items, self._ranked = items, ranked

    def explain(self, item: str | int, taste: Taste, *, with_words: bool) -> Explanation:
        """Split a score.

        Args:
            item: its id.
            taste: what is known of the user.
            with_words: leave each word of the item's text out in turn; needs a release that holds texts.

        Returns:
            The explanation.

        Raises:
            UnknownItem: the release does not hold the item.
            RequestError: nothing is known of the user that the release holds.
        """
        row = self._items.row(item)
        known = self._users.known(taste)
        rows, basis_HD = known.likes, known.basis_HD
        if not known.n_known:
            raise RequestError(
                "nothing that is known of this user is in the release",
                remedy="give a user, liked items or text",
            )
        vector_D = self._profiles.searcher.vectors_of(np.array([row]))[0]
        weights_HD = self._users.ridge.weights(basis_HD).astype(np.float64)
        dots_H = weights_HD @ vector_D
        candidate, singles = np.array([row]), [[one] for one in rows] + [[]] * (len(basis_HD) - len(rows))
        share = self._users.typical_share(known.n_known)
        whole_D = self._users.of(basis_HD, share).astype(np.float64) if share else weights_HD.sum(axis=0)
        whole = dots_H.sum(keepdims=True) if not share else (whole_D @ vector_D)[None]
        score = float(self._ranked.scores(whole[None], [rows], candidate)[0, 0])
        if share:
            score += share * float(self._ranked.typical_scores(candidate)[0])
        scores_H = self._ranked.scores(dots_H[:, None], singles, candidate)[:, 0].astype(np.float64)
        profile_H = dots_H * self._ranked.growth
        ids = self._profiles.latest.item_ids
        n_text = len(basis_HD) - len(rows) - len(known.counting)
        things: list[tuple[Source, int | None]] = [(_source(ids[one], taste), one) for one in rows]
        things += [("text", None) for _ in range(n_text)] + [("dislike", one) for one in known.counting]
        found = [
            Contribution(
                source,
                None if one is None else ids[one],
                by_profile,
                by_all - by_profile,
                self._shared(row, [] if one is None else [one]),
            )
            for (source, one), by_profile, by_all in zip(
                things, profile_H.tolist(), scores_H.tolist(), strict=True
            )
        ]
        fields = self._items.fields_of(row) if with_words else {}
        text = self._texts.text_of_row(fields)
        manifest = self._profiles.manifest
        return Explanation(
            release=manifest.id,
            model=manifest.model.hash,
            ranker=manifest.model.ranker.name,
            item_id=ids[row],
            score=score,
            contributions=tuple(sorted(found, key=lambda one: -(one.profile + one.ranker))),
            rest=score - float(scores_H.sum()),
            words=self._left_out(text, whole_D),
            has_text=bool(text) if fields else None,
            view_shares=self._profiles.shares.of(row),
        )

    def _shared(self, row: int, other: list[int]) -> tuple[SharedFact, ...]:
        """What relates the item to a liked one; empty for words, and in a release without relations."""
        facts = self._profiles.facts
        return facts.shared(row, other[0], MOST_SHARED) if facts and other else ()

    def _left_out(self, text: str, weights_D: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
        """Each word, and how much lower the inner product is without it in any field; largest first."""
        left_out = without_each_word(text)
        if len(left_out) < 2:
            return ()
        vectors_WD = self._texts.encoder.encode([text, *left_out.values()])
        dots_W = (vectors_WD @ weights_D) * self._ranked.growth
        found = zip(left_out, (dots_W[0] - dots_W[1:]).tolist(), strict=True)
        return tuple(sorted(found, key=lambda one: -one[1]))


def without_each_word(text: str) -> dict[str, str]:
    """The text without one word, for each of its words.

    Args:
        text: a line for each field.

    Returns:
        Word, without the punctuation around it -> the text without it in any field. A field that is empty then keeps
        its line: the place of a field says how much a long one counts.
    """
    fields = [[(_bare(word), word) for word in field.split()] for field in text.split(FIELD_END)]
    return {
        left: FIELD_END.join(" ".join(word for bare, word in field if bare != left) for field in fields)
        for left in dict.fromkeys(bare for field in fields for bare, _ in field if bare)
    }


def _bare(word: str) -> str:
    """A word without the punctuation around it; empty where it is nothing else."""
    around = "".join(one for one in set(word) - set(_KEPT) if unicodedata.category(one).startswith("P"))
    return word.strip(around) if around else word


def _source(item: str, taste: Taste) -> Source:
    return "feedback" if item in taste.feedback else "like"
