"""Questions to one release: lists for a user, neighbours, search by text, what a new item would be, and why.

The service, `Release` and the command line all ask here, so that there is one answer to a question.

A user is w = (XᵀX + λI)⁻¹ b with b = Σ x over the items that the user likes, plus `text_weight` times the profile of
words about the user. `recsys/profiles/users.py` has the metric, `recsys/publishing/ranked.py` how lists are found.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.feedback import disliked_items, liked_items
from recsys.catalogue.fields import BadRow, sound
from recsys.catalogue.params import FeedbackParams
from recsys.encoders.encoder import Encoder
from recsys.errors import RequestError, UnknownItem
from recsys.features.text import join_fields
from recsys.heads.headed import HeadedEncoder
from recsys.models.opening import open_model
from recsys.profiles.users import Ridge
from recsys.publishing.checks import QUERY_BATCH_TOKENS, query_text, unpacked_model
from recsys.publishing.objects import Profiles
from recsys.publishing.ranked import RankedSearcher, published_ranker
from recsys.publishing.release import Manifest
from recsys.retrieval.lexical import LexicalIndex
from recsys.retrieval.segments import PAD
from recsys.serving.answers import Answer, Contribution, Explanation, ListRequest, NewItem, Scored, Taste
from recsys.serving.arguments import known_row, known_rows
from recsys.serving.diversity import POOL, diversified
from recsys.serving.feedback_events import Event
from recsys.serving.feedback_opinions import merge
from recsys.serving.filters import Filters
from recsys.serving.fusing import best_rows, fused, n_candidates
from recsys.serving.popular import Popular

# Shape suffixes: H things known of a user, D dimension, I live items.
WEIGHTS = {"text_weight": 1.0, "lexical_weight": 0.7, "user_weight": 0.2}
"""Of releases from before they carried their own; section `search` of params.yaml says what each means."""
NO_WEIGHTS: Mapping[str, float] = {}
SHOWN = ("title", "description", "tags", "image", "attributes")
"""What an answer shows of an item."""
AUDIENCE_USERS = 200
AUDIENCE_K = 10


class Recommender:
    """Read-only; may be shared between threads once `warm` has been called.

    Args:
        manifest: of the release.
        profiles: of the same.
        weights: instead of those that the release carries: `text_weight`, `lexical_weight`, `user_weight`.
    """

    def __init__(
        self, manifest: Manifest, profiles: Profiles, weights: Mapping[str, float] = NO_WEIGHTS
    ) -> None:
        self.manifest = manifest
        self.profiles = profiles
        carried = manifest.search.model_dump() if manifest.search else {}
        self._weights = {**WEIGHTS, **carried, **weights}
        self.filters = Filters(profiles)
        self.popular = Popular(profiles)

    def warm(self) -> None:
        """Load everything, so that no question waits for it, or meets a file that is damaged or gone since.

        Raises:
            ReleaseError: a file is missing or damaged; names it.
            EncoderError: the model cannot be opened.
        """
        self.taste_of("")
        _ = self.filters.names, self.profiles.lexical, self.popular.newest_at
        self.recommend(Taste(), ListRequest(k=1))
        if self.profiles.latest.item_ids:
            self.recommend(Taste(likes=(self.profiles.latest.item_ids[0],), text="words"), ListRequest(k=1))
            self.search("words", ListRequest(k=1))
            self.details_of(self.profiles.latest.item_ids[:1])

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
        before = self.profiles.histories.opinions_of(pseudonym)
        if not feedback or rules is None:
            return Taste(liked_items(before), disliked_items(before))
        after = merge(before, feedback, rules)
        likes = liked_items(after)
        return Taste(likes, disliked_items(after), feedback=frozenset(likes) - frozenset(liked_items(before)))

    def recommend(self, taste: Taste, wanted: ListRequest) -> Answer:
        """The best items for a user, ordered by the release's ranker.

        Args:
            taste: what is known of the user. Nothing at all gives what many like, with a share of new items.
            wanted: which items, and how many.

        Returns:
            At most k items, best first.

        Raises:
            RequestError: a condition names something unknown.
            EncoderError: there is text, and the encoder cannot be opened.
        """
        rows, unknown = known_rows(taste.likes, self.profiles.row_of_item)
        disliked, _ = known_rows(taste.dislikes, self.profiles.row_of_item)
        allowed_I, strangers = self._allowed(wanted)
        exclude = {*rows, *disliked} if wanted.exclude_seen else set()
        basis_HD = self._basis(rows, taste.text)
        if not len(basis_HD):
            found = self.popular.best(wanted.k, exclude, allowed_I)
            return Answer(self.manifest.id, tuple(found), "popular", (*unknown, *strangers))
        query_D = self._user(basis_HD)
        width = wanted.k * POOL if wanted.diversity else wanted.k
        ranked = self._ranked.search(query_D, rows, width, exclude, allowed_I)
        return Answer(self.manifest.id, self._chosen(ranked, wanted), "profile", (*unknown, *strangers))

    def similar(self, item: str | int, wanted: ListRequest) -> Answer:
        """The items nearest to an item, without itself.

        Args:
            item: its id.
            wanted: which items, and how many.

        Returns:
            At most k items, nearest first, by cosine.

        Raises:
            UnknownItem: the release does not hold it.
            RequestError: a condition names something unknown.
        """
        row = self.row(item)
        return self._nearest(self.profiles.searcher.vectors_of(np.array([row]))[0], wanted, {row})

    def search(self, text: str, wanted: ListRequest, taste: Taste | None = None) -> Answer:
        """The items that fit a query, by its words and by its meaning, see `recsys/serving/fusing.py`.

        Args:
            text: the query.
            wanted: which items, and how many.
            taste: of the user who searches; None, or nothing known: everybody gets the same.

        Returns:
            At most k items, best first. A release from before there was an index of words is searched as it was
            then: by the cosine of the text's profile.

        Raises:
            RequestError: the text says nothing, or a condition names something unknown.
            EncoderError: the model cannot be opened, or its preprocessing is newer than this software.
        """
        if self.profiles.lexical is None:
            return self._nearest(self.profile_of(text), wanted, set())
        query_D = self._query(text)
        allowed_I, strangers = self._allowed(wanted)
        likes, unknown = known_rows(taste.likes if taste else (), self.profiles.row_of_item)
        dislikes, _ = known_rows(taste.dislikes if taste else (), self.profiles.row_of_item)
        exclude = {*likes, *dislikes} if wanted.exclude_seen else set()
        rows_C, words_C = self._candidates(text, self.profiles.lexical, query_D, wanted.k, exclude, allowed_I)
        vectors_CD = self.profiles.searcher.vectors_of(rows_C) if len(rows_C) else np.empty((0, len(query_D)))
        user_C = self._user_scores(taste, vectors_CD) if taste else None
        scores_C = fused(words_C, vectors_CD @ query_D, user_C, self._weights)
        ids = self.profiles.latest.item_ids
        pairs = sorted(
            zip(rows_C.tolist(), scores_C.tolist(), strict=True), key=lambda one: (-one[1], ids[one[0]])
        )
        return Answer(self.manifest.id, self._chosen(pairs, wanted), "profile", (*unknown, *strangers))

    def profile_of(self, text: str) -> NDArray[np.float32]:
        """The profile of a text, float32 [d], of length 1.

        Args:
            text: words, as an item's or a query.

        Returns:
            The vector.

        Raises:
            RequestError: the text says nothing.
            EncoderError: the model cannot be opened.
        """
        vector_D: NDArray[np.float32] = self._encoder.encode([self._folded(text)])[0]
        return vector_D

    def new_item(self, text: str, wanted: ListRequest) -> NewItem:
        """What an item with this text would be: its profile, its neighbours and its audience.

        Args:
            text: as an item's.
            wanted: which neighbours, and how many.

        Returns:
            The item.

        Raises:
            RequestError: the text says nothing.
            EncoderError: the model cannot be opened.
        """
        profile_D = self.profile_of(text)
        neighbours = self._nearest(profile_D, wanted, set()).items
        return NewItem(self.manifest.id, profile_D, neighbours, self._audience(profile_D))

    def sample_users(self) -> None:
        """Draw the users whom `new_item` asks. Takes seconds, so the service does it beside the first answers."""
        _ = self._sampled_users

    def explain(self, item: str | int, taste: Taste, *, with_words: bool = False) -> Explanation:
        """Why an item has its score for a user.

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
        row = self.row(item)
        rows, _ = known_rows(taste.likes, self.profiles.row_of_item)
        basis_HD = self._basis(rows, taste.text)
        if not len(basis_HD):
            raise RequestError(
                "nothing that is known of this user is in the release",
                remedy="give a user, liked items or text",
            )
        vector_D = self.profiles.searcher.vectors_of(np.array([row]))[0]
        weights_HD = self._ridge.weights(basis_HD).astype(np.float64)
        dots_H = weights_HD @ vector_D
        candidate, singles = np.array([row]), [[one] for one in rows] + [[]] * (len(basis_HD) - len(rows))
        score = float(self._ranked.scores(dots_H.sum(keepdims=True)[None], [rows], candidate)[0, 0])
        scores_H = self._ranked.scores(dots_H[:, None], singles, candidate)[:, 0].astype(np.float64)
        profile_H = dots_H * self._ranked.growth
        ids = self.profiles.latest.item_ids
        items = [ids[single[0]] if single else None for single in singles]
        found = [
            Contribution(_source(item, taste), item, by_profile, by_all - by_profile)
            for item, by_profile, by_all in zip(items, profile_H.tolist(), scores_H.tolist(), strict=True)
        ]
        return Explanation(
            release=self.manifest.id,
            model=self.manifest.model.hash,
            ranker=self.manifest.model.ranker.name,
            item_id=ids[row],
            score=score,
            contributions=tuple(sorted(found, key=lambda one: -(one.profile + one.ranker))),
            rest=score - float(scores_H.sum()),
            words=self._left_out(self.text_of(row) if with_words else "", weights_HD.sum(axis=0)),
        )

    def text_of_row(self, row: Mapping[str, Any]) -> str:
        """The text that an item with these fields of a catalogue would be read by.

        Args:
            row: fields by name, such as title, description and tags.

        Returns:
            The release's own fields of it, joined; empty where it has none of them.

        Raises:
            RequestError: a text holds half a surrogate pair, or a NUL.
        """
        preprocessing = self.manifest.preprocessing
        values = [row.get(name) for name in preprocessing.fields]
        texts = [
            ", ".join(map(str, one)) if isinstance(one, list) else str(one)
            for one in values
            if one is not None
        ]
        try:
            texts = [sound(text, "row") for text in texts]
        except BadRow as fault:
            raise RequestError(fault.detail, remedy="give text that intake would take") from fault
        return join_fields(texts, preprocessing.max_chars, preprocessing.version)

    def details_of(self, item_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What a page shows of items.

        Args:
            item_ids: of the release.

        Returns:
            For each title, tags, image, attributes and description; empty in a release from before it held them.
        """
        rows = [self.row(item) for item in item_ids]
        if self.profiles.details is None or not rows:
            return [{} for _ in item_ids]
        return [
            {name: one[name] for name in SHOWN} | {"tags": one["tags"] or []}
            for one in self.profiles.details.rows(np.array(rows))
        ]

    def titles_of(self, item_ids: Sequence[str]) -> dict[str, str]:
        """Titles by id, of those that have one."""
        details = self.details_of(item_ids)
        return {item: one["title"] for item, one in zip(item_ids, details, strict=True) if one.get("title")}

    def text_of(self, row: int) -> str:
        """The text that an item is read by, as far as the release holds it: a long description is cut there."""
        if self.profiles.details is None:
            return ""
        (found,) = self.profiles.details.rows(np.array([row]))
        return self.text_of_row(found["attributes"] | found)

    def row(self, item: str | int) -> int:
        """An item's position among the live ones.

        Args:
            item: its id.

        Returns:
            The position.

        Raises:
            UnknownItem: the release does not hold it.
        """
        name, row = known_row(item, self.profiles.row_of_item)
        if row is None:
            raise UnknownItem(
                f"item {name!r} is not in release {self.manifest.id}",
                remedy="`Release.items` has its ids; `recsys status` shows what waits to be published; a deleted item "
                "has no profile",
            )
        return row

    @property
    def ridge_lambda(self) -> float:
        """λ of the users; with a ranker that grows it grows with the items that have interactions."""
        return self._ridge.ridge_lambda

    def _audience(self, profile_D: NDArray[np.float32]) -> float | None:
        """Of the sampled users, the share in whose best items a profile would be; None before they were sampled."""
        if "_sampled_users" not in self.__dict__:
            return None
        queries_UD, last_U = self._sampled_users
        return float((queries_UD @ profile_D * self._ranked.growth > last_U).mean()) if len(last_U) else None

    def _folded(self, text: str) -> str:
        """A text as the release's own texts were made; refused where it says nothing."""
        words = query_text(self.manifest, text)
        if not words:
            raise RequestError("an empty text has no neighbours", remedy="give some words")
        return words

    def _query(self, text: str) -> NDArray[np.float32]:
        """The profile of words that look for items, float32 [d]."""
        encoder = self._encoder
        encode = encoder.encode_queries if isinstance(encoder, HeadedEncoder) else encoder.encode
        query_D: NDArray[np.float32] = np.array(encode([self._folded(text)])[0])
        query_D[: min(1, self.manifest.model.lexical_width)] = 0  # it only brings profiles to unit length
        return query_D

    def _basis(self, rows: Sequence[int], text: str) -> NDArray[np.float32]:
        """What sums to b, one row per liked item and one for text."""
        parts = [self.profiles.searcher.vectors_of(np.array(rows))] if rows else []
        if text.strip():
            parts.append((self._weights["text_weight"] * self._query(text))[None].astype(np.float32))
        return np.concatenate(parts) if parts else np.empty((0, self.manifest.model.dim), np.float32)

    def _user(self, basis_HD: NDArray[np.float32]) -> NDArray[np.float32]:
        """A user's profile w, float32 [d]."""
        user_D: NDArray[np.float32] = self._ridge.weights(basis_HD.sum(axis=0, dtype=np.float64)[None])[0]
        return user_D

    def _allowed(self, wanted: ListRequest) -> tuple[NDArray[np.bool_] | None, list[str]]:
        """Which items may be in a list, and which candidates the release does not hold."""
        allowed_I = self.filters.allowed(wanted.where)
        if wanted.candidates is None:
            return allowed_I, []
        rows, unknown = known_rows(wanted.candidates, self.profiles.row_of_item)
        chosen_I = np.zeros(len(self.profiles.latest.item_ids), np.bool_)
        chosen_I[rows] = True
        return chosen_I if allowed_I is None else chosen_I & allowed_I, unknown

    def _candidates(
        self,
        text: str,
        lexical: LexicalIndex,
        query_D: NDArray[np.floating],
        k: int,
        exclude: set[int],
        allowed_I: NDArray[np.bool_] | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Items that are near to a query or hold its words, ascending, each with its BM25 over the bound."""
        n = n_candidates(k)
        found = self.profiles.searcher.search(query_D[None], n, [exclude], allowed_I).rows_QK[0]
        by_profile = found[found != PAD]
        rows, shares = lexical.shares(text)
        is_left = ~np.isin(rows, list(exclude)) if exclude else np.ones(len(rows), np.bool_)
        if allowed_I is not None:
            is_left &= allowed_I[rows]
        rows, shares = rows[is_left], shares[is_left]
        rows_C = np.union1d(by_profile, best_rows(rows, shares, n))
        words_C = np.zeros(len(rows_C), np.float32)
        _, places, found_places = np.intersect1d(rows_C, rows, assume_unique=True, return_indices=True)
        words_C[places] = shares[found_places]
        return rows_C, words_C

    def _user_scores(self, taste: Taste, vectors_CD: NDArray[np.floating]) -> NDArray[np.floating] | None:
        """Inner products of candidates with a user's profile; None where nothing is known of the user."""
        rows, _ = known_rows(taste.likes, self.profiles.row_of_item)
        basis_HD = self._basis(rows, taste.text)
        if not len(basis_HD):
            return None
        scores_C: NDArray[np.floating] = vectors_CD @ self._user(basis_HD)
        return scores_C

    def _nearest(self, query_D: NDArray[np.floating], wanted: ListRequest, exclude: set[int]) -> Answer:
        query_1D = np.array(query_D, np.float32)[None]
        query_1D[:, : min(1, self.manifest.model.lexical_width)] = 0  # it only brings profiles to unit length
        allowed_I, unknown = self._allowed(wanted)
        found = self.profiles.searcher.search(query_1D, wanted.k, exclude=[exclude], allowed_I=allowed_I)
        pairs = zip(found.rows_QK[0].tolist(), found.scores_QK[0].tolist(), strict=True)
        named = self._named([(row, score) for row, score in pairs if row != PAD])
        return Answer(self.manifest.id, named, "profile", tuple(unknown))

    def _left_out(self, text: str, weights_D: NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
        """By word, how much lower the inner product is without it; largest first."""
        words = query_text(self.manifest, text).split() if text else []
        distinct = list(dict.fromkeys(words))
        if len(distinct) < 2:
            return ()
        without = [" ".join(one for one in words if one != left) for left in distinct]
        vectors_WD = self._encoder.encode([" ".join(words), *without])
        dots_W = (vectors_WD @ weights_D) * self._ranked.growth
        found = zip(distinct, (dots_W[0] - dots_W[1:]).tolist(), strict=True)
        return tuple(sorted(found, key=lambda one: -one[1]))

    def _chosen(self, ranked: Sequence[tuple[int, float]], wanted: ListRequest) -> tuple[Scored, ...]:
        """The list out of more items than it may have, best first; as diverse as was asked for."""
        if wanted.diversity and ranked:
            pool = ranked[: wanted.k * POOL]
            vectors_ND = self.profiles.searcher.vectors_of(np.array([row for row, _ in pool]))
            places = diversified([score for _, score in pool], vectors_ND, wanted.k, wanted.diversity)
            return self._named([pool[place] for place in places])
        return self._named(ranked[: wanted.k])

    def _named(self, found: Sequence[tuple[int, float]]) -> tuple[Scored, ...]:
        ids = self.profiles.latest.item_ids
        return tuple(Scored(ids[row], score) for row, score in found)

    @cached_property
    def _ridge(self) -> Ridge:
        ridge_lambda = self.manifest.users.ridge_lambda * self._ranked.growth
        return Ridge(self.profiles.gram(), ridge_lambda, self.manifest.model.lexical_width)

    @cached_property
    def _ranked(self) -> RankedSearcher:
        ranker = published_ranker(self.manifest, self.profiles.files)
        return RankedSearcher(self.profiles.searcher, ranker, self.manifest.users.n_items)

    @cached_property
    def _encoder(self) -> Encoder:
        packed = unpacked_model(self.manifest.model, self.profiles.files)
        return open_model(self.manifest.model, packed, QUERY_BATCH_TOKENS)

    @cached_property
    def _sampled_users(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Profiles of some users [U, D], and the score of the last of each one's best items."""
        users = self.profiles.histories.users
        drawn = np.random.default_rng(0).permutation(len(users))[:AUDIENCE_USERS]
        queries, last = [], []
        for user in sorted(drawn.tolist()):
            taste = self.taste_of(users[user])
            rows, _ = known_rows(taste.likes, self.profiles.row_of_item)
            if rows:
                found = self.recommend(taste, ListRequest(k=AUDIENCE_K)).items
                queries.append(self._user(self._basis(rows, "")))
                last.append(found[-1].score if len(found) == AUDIENCE_K else -np.inf)
        if not queries:
            return np.empty((0, self.manifest.model.dim), np.float32), np.empty(0)
        return np.stack(queries), np.array(last)


def _source(item: str | None, taste: Taste) -> Literal["like", "feedback", "text"]:
    if item is None:
        return "text"
    return "feedback" if item in taste.feedback else "like"
