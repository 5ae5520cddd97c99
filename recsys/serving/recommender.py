"""Queries to one release: lists for a user, neighbours, search by text, new items, explanations.

The service, `Release` and the command line all use it, so they all give the same answers. `user_profiles.py` computes
users, `recsys/publishing/ranked.py` finds lists.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.catalogue.params import FeedbackParams
from recsys.dataset.trait_names import NONE
from recsys.profiles.completion import n_completing
from recsys.publishing.ranked import RankedSearcher, published_ranker
from recsys.publishing.release import Manifest
from recsys.publishing.released_profiles import Profiles
from recsys.publishing.second import SecondSearcher
from recsys.publishing.traits import published_traits
from recsys.ranking.ranker import Ranker
from recsys.ranking.typical import Typical
from recsys.retrieval.segments import PAD
from recsys.serving.answers import Answer, Explanation, ListRequest, NewItem, Predictions, Taste
from recsys.serving.audience import Audience
from recsys.serving.diversity import POOL
from recsys.serving.explaining import Explainer
from recsys.serving.exploration import Explorer, Question
from recsys.serving.feedback_events import Event
from recsys.serving.filters import Filters
from recsys.serving.items import Items
from recsys.serving.lists import Lists
from recsys.serving.new_items import NewItems
from recsys.serving.popular import Popular
from recsys.serving.predicting import Predictor
from recsys.serving.text_profiles import TextProfiles
from recsys.serving.text_search import TextSearch
from recsys.serving.user_profiles import User, UserProfiles
from recsys.serving.withholding import Withholding
from recsys.storage.memory import give_memory_back

# Shape suffixes: H things known of a user, D dimension, I live items.
WEIGHTS = {"text_weight": 1.0, "lexical_weight": 0.5, "user_weight": 0.2, "typical_weight": 0.0}
"""Weights for releases without their own; section `search` of params.yaml describes each."""
NO_WEIGHTS: Mapping[str, float] = {}


class Recommender:
    """Read-only; may be shared between threads once `warm` has been called.

    Args:
        manifest: of the release.
        profiles: of the same.
        weights: instead of those that the release carries: `text_weight`, `lexical_weight`, `user_weight`,
            `typical_weight`.
    """

    def __init__(
        self, manifest: Manifest, profiles: Profiles, weights: Mapping[str, float] = NO_WEIGHTS
    ) -> None:
        self.manifest = manifest
        self.release = manifest.id  # a hash of the whole manifest
        self.profiles = profiles
        carried = manifest.search.model_dump(exclude_none=True) if manifest.search else {}
        self._weights = {**WEIGHTS, **carried, **weights}
        self.filters = Filters(profiles)
        self.popular = Popular(profiles)
        self.items = Items(profiles)
        """Rows and details by item id."""
        self.texts = TextProfiles(
            manifest, profiles.files, lambda found_ND: profiles.searcher.look_ahead(found_ND)
        )
        """Profiles of texts."""
        self.withholding = Withholding(profiles, self.filters)
        """Items that may be in no list."""
        self._lists = Lists(profiles, self.filters, self.withholding)

    def open(self) -> None:
        """Load everything but the encoder. No thread is left: a process may fork afterwards, see `service/workers.py`.

        What loading took beyond what stays in use is given back.

        Raises:
            ReleaseError: a file is missing or damaged; names it.
            EncoderError: the head or the ranker cannot be opened.
        """
        self.profiles.files.bring(self.manifest.answering_files())
        self.texts.open_head()
        _ = self.profiles.histories, self.filters.names, self.profiles.lexical, self.popular.newest_at
        self.recommend(self.taste_of("nobody"), ListRequest(k=1))
        if len(self.profiles.latest.item_ids):
            first = self.profiles.latest.item_ids[0]
            self.recommend(Taste(likes=(first,)), ListRequest(k=1))
            self.items.details_of([first])
        give_memory_back()

    def warm_exploring(self) -> None:
        """Load what lists that explore need; nothing is drawn."""
        nobody_D, new = np.zeros(self.manifest.model.dim, np.float32), self._new_items
        new.best(nobody_D, (), new.is_new_I, 1)

    def warm(self) -> None:
        """Load everything, so that no query waits for loading, or fails on a file that is damaged or deleted later.

        Raises:
            ReleaseError: a file is missing or damaged; names it.
            EncoderError: the model cannot be opened.
        """
        self.open()
        self.texts.warm()
        if len(self.profiles.latest.item_ids):
            self.recommend(Taste(text="words"), ListRequest(k=1))
            self.search("words", ListRequest(k=1))
        give_memory_back()

    def taste_of(
        self, pseudonym: str, feedback: Sequence[Event] = (), rules: FeedbackParams | None = None
    ) -> Taste:
        """What is known about a user, see `UserProfiles.taste_of`."""
        return self._users.taste_of(pseudonym, feedback, rules)

    def recommend(self, taste: Taste, wanted: ListRequest, explorer: Explorer | None = None) -> Answer:
        """The best items for a user, ordered by the release's ranker.

        Args:
            taste: what is known of the user. Nothing at all gives what many like, with a share of new items.
            wanted: which items, and how many.
            explorer: puts new items into the list; None, or nothing known of the user: nothing does.

        Returns:
            At most k items, best first.

        Raises:
            RequestError: a condition names something unknown.
            EncoderError: there is text, and the encoder cannot be opened.
        """
        return self.list_for(self._users.user(taste), wanted, explorer)

    def users(self, tastes: Sequence[Taste]) -> list[User]:
        """Users of whom this is known, for whose lists `list_for` is called next.

        Their profiles are the first part of `recommend`. What the lists of several read all of is read once.
        """
        found = [self._users.user(one) for one in tastes]
        queries = [one.query_D for one in found if one.query_D is not None]
        if len(queries) > 1:
            self.profiles.searcher.look_ahead(np.stack(queries))
        return found

    def list_for(self, user: User, wanted: ListRequest, explorer: Explorer | None = None) -> Answer:
        """The second part of `recommend`, which see."""
        known, query_D, share = user.known, user.query_D, user.share
        rows, unknown = known.likes, known.unknown
        allowed_I, strangers = self._lists.allowed(wanted)
        exclude = {*rows, *known.dislikes} if wanted.exclude_seen else set()
        if query_D is None:
            found = self.popular.best(
                wanted.k, exclude, allowed_I, self._promising(wanted.k, exclude, allowed_I)
            )
            return Answer(self.release, tuple(found), "popular", (*unknown, *strangers))
        width = wanted.k * POOL if wanted.diversity else wanted.k
        ranked = self._shown.search(query_D, rows, known.likes_HD, width, exclude, allowed_I, share)
        chosen = self._lists.chosen(ranked, wanted)
        answer = Answer(self.release, chosen, "profile", (*unknown, *strangers))
        if explorer is None:
            return answer
        closed = frozenset(exclude).union(self.items.row(one.item_id) for one in chosen)
        return explorer.explore(
            answer, self._new_items, Question(query_D, rows, closed, allowed_I, wanted, user.taste.text)
        )

    def similar(self, item: str | int, wanted: ListRequest) -> Answer:
        """The items nearest to an item, without itself.

        Args:
            item: its id.
            wanted: which items, and how many.

        Returns:
            At most k items, nearest first: by the cosine of profiles, without the part of it that all items have in
            common where a head made them. So an item of which little is known has lower scores.

        Raises:
            UnknownItem: the release does not hold it.
            RequestError: a condition names something unknown.
        """
        row = self.items.row(item)
        return self._nearest(self.profiles.searcher.vectors_of(np.array([row]))[0], wanted, {row})

    def search(self, text: str, wanted: ListRequest, taste: Taste | None = None) -> Answer:
        """The items that fit a query, by its words and by its meaning.

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
        if self._search is None:
            return self._nearest(self.texts.of_item(text), wanted, set())
        return self._search.search(text, wanted, taste or Taste())

    def new_item(self, text: str, wanted: ListRequest) -> NewItem:
        """Describe an item with this text: its profile, its neighbours and its audience.

        Args:
            text: as an item's.
            wanted: which neighbours, and how many.

        Returns:
            The item.

        Raises:
            RequestError: the text says nothing.
            EncoderError: the model cannot be opened.
        """
        profile_D = self.texts.of_item(text)
        neighbours = self._nearest(profile_D, wanted, set()).items
        return NewItem(self.release, profile_D, neighbours, self._audience.share(profile_D))

    def sample_users(self) -> None:
        """Draw the sample of users for `new_item`. It takes seconds, so the service does it after its start."""
        self._audience.sample()

    def predict(self, taste: Taste, items: Iterable[str | int]) -> Predictions:
        """Predict what a user does with given items, see `Predictor.predict`."""
        return Predictor(self.release, self._users, self.items, self._shown).predict(taste, items)

    def explain(self, item: str | int, taste: Taste, *, with_words: bool = False) -> Explanation:
        """Why an item has its score for a user, see `Explainer.explain`."""
        explainer = Explainer(self.profiles, self._users, self.texts, self.items, self._ranked)
        found = explainer.explain(item, taste, with_words=with_words)
        return replace(found, withheld=self.withholding.why(self.items.row(item)))

    @property
    def temperature(self) -> float | None:
        """Temperature that turns scores of search into probabilities; None: training chose none."""
        return self._weights.get("temperature")

    @property
    def ridge_lambda(self) -> float:
        """λ of the users; with a ranker that grows it grows with the items that have interactions."""
        return self._users.ridge.ridge_lambda

    def _nearest(self, query_D: NDArray[np.floating], wanted: ListRequest, exclude: set[int]) -> Answer:
        query_1D = np.array(query_D, np.float32)[None]
        query_1D[:, : n_completing(self.manifest.model.lexical_width)] = 0
        allowed_I, unknown = self._lists.allowed(wanted)
        found = self.profiles.searcher.search(query_1D, wanted.k, exclude=[exclude], allowed_I=allowed_I)
        pairs = zip(found.rows_QK[0].tolist(), found.scores_QK[0].tolist(), strict=True)
        named = self._lists.named([(row, score) for row, score in pairs if row != PAD])
        return Answer(self.release, named, "profile", tuple(unknown))

    @cached_property
    def _ranker(self) -> Ranker:
        return published_ranker(self.manifest, self.profiles.files)

    @cached_property
    def _ranked(self) -> RankedSearcher:
        return RankedSearcher(
            self.profiles.searcher,
            self._ranker,
            self.manifest.users.n_items,
            self._typical,
            self.manifest.search_width or 0,
        )

    @cached_property
    def _shown(self) -> SecondSearcher:
        searcher, width = self.profiles.searcher, self.manifest.model.lexical_width
        second = self._ranker.second
        names = second.traits if second else NONE
        return SecondSearcher(
            self._ranked,
            second,
            searcher,
            lambda: self.popular.likes_I,
            width,
            lambda: published_traits(names, self.profiles, self.popular.likes_I),
        )

    @cached_property
    def _users(self) -> UserProfiles:
        return UserProfiles(self.profiles, self.texts, self._ranked.growth, self._weights, self._typical)

    @cached_property
    def _typical(self) -> Typical | None:
        return Typical.of(self.popular.likes_I) if self._weights["typical_weight"] else None

    def _promising(self, k: int, exclude: set[int], allowed_I: NDArray[np.bool_] | None) -> list[int] | None:
        """New items that a typical user would like best; None where lists take no share of the typical history."""
        share = self._users.typical_share(0)
        if not share:
            return None
        query_D = self._users.of(np.empty((0, self.manifest.model.dim), np.float32), share)
        is_new_I = self.popular.likes_I == 0
        allowed_I = is_new_I if allowed_I is None else is_new_I & allowed_I
        rows_K = self.profiles.searcher.search(query_D[None], k, [exclude], allowed_I).rows_QK[0]
        promising: list[int] = rows_K[rows_K != PAD].tolist()
        return promising

    @cached_property
    def _search(self) -> TextSearch | None:
        lexical = self.profiles.lexical
        if lexical is None:
            return None
        return TextSearch(
            self.release, self.profiles, lexical, self._users, self.texts, self._lists, self._weights
        )

    @cached_property
    def _new_items(self) -> NewItems:
        return NewItems(
            self.profiles.latest.item_ids,
            self.profiles.histories.items,
            self.profiles.searcher.vectors_of,
            self._users.ridge,
            self._ranked,
        )

    @cached_property
    def _audience(self) -> Audience:
        return Audience(self.profiles, self._users, self._ranked)
