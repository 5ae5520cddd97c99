"""Requests to a release, and its answers. Ids are strings; every answer names its release."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.facts import SharedFact

Basis = Literal["profile", "popular"]
"""The basis of a list: the user's profile, or popular and new items where nothing is known about the user."""


@dataclass(frozen=True)
class Scored:
    """One place of a list."""

    item_id: str
    score: float
    """Inner product in the space of the profiles, corrected by the release's ranker; comparable within one list."""
    probability: float | None = None
    """In search: the probability that this is the item the query looks for, given that one of the candidates is. None
    in other lists, and where the release has no temperature to turn scores into probabilities."""


@dataclass(frozen=True)
class Taste:
    """What is known about a user: item ids and words."""

    likes: Iterable[str | int] = ()
    """Oldest first; an id counts once."""
    dislikes: Iterable[str | int] = ()
    """Never recommended while `exclude_seen` holds; they move the profile only where `weights` say so."""
    text: str = ""
    """Words about the user, such as "likes slow science fiction"."""
    feedback: frozenset[str] = frozenset()
    """Likes that arrived as feedback after the release was made."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Item id -> how much the item counts in the profile. Other items count 1 if liked, otherwise 0."""


@dataclass(frozen=True)
class ListRequest:
    """Length of a list, and which items may be in it."""

    k: int = 10
    """Length of the list; shorter where fewer items are allowed."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Conditions on tags and attributes, see `recsys/serving/filters.py`."""
    candidates: Iterable[str | int] | None = None
    """Rank these items alone; None: all."""
    exclude_seen: bool = True
    """Leave out what the user likes or dislikes."""
    diversity: float = 0.0
    """Weight of maximal marginal relevance. 0: by score alone; towards 1, items that are unlike earlier ones come
    first."""
    request_id: str = ""
    """If lists explore: a repeated request with the same id gets the same draws, so each new request needs its own id.
    Empty: new draws each time."""
    whose: str = ""
    """If lists explore: the user's pseudonym, so that each user gets different draws; empty: an unnamed user."""


@dataclass(frozen=True)
class Draw:
    """A place that explored."""

    place: int
    """From 1."""
    item_id: str
    probability: float
    """Probability of this item, given that the place explores and what was drawn before."""


@dataclass(frozen=True)
class NewCandidates:
    """New items that could be drawn, best score first."""

    item_ids: tuple[str, ...]
    mean_C: NDArray[np.float64]
    """Their scores for the user."""
    deviation_C: NDArray[np.float64]
    """Standard deviations of the scores, with σ = 1."""


@dataclass(frozen=True)
class Exploration:
    """How a list was drawn, see `recsys/serving/exploration.py`."""

    list_id: str
    """Feedback names it, so that rewards are known by list."""
    propensities: tuple[float, ...]
    """For each place, the probability that it holds this item, given the earlier places."""
    draws: tuple[Draw, ...]
    """Explored places, in the order of the list."""
    candidates: NewCandidates
    """Empty where no place explored."""
    user_group: int | None = None
    """The user's group in the log; None where no user was named."""


@dataclass(frozen=True)
class Answer:
    """A list of items."""

    release: str
    items: tuple[Scored, ...]
    basis: Basis
    unknown: tuple[str, ...] = ()
    """Ids of the request that are not in the release."""
    exploration: Exploration | None = None
    """None: no place of it could explore."""
    n_candidates: int | None = None
    """In search: how many items the list was chosen from; their probabilities sum to 1."""


Source = Literal["like", "feedback", "text", "dislike"]
"""The source of a contribution; dislikes only where the model counts them."""


@dataclass(frozen=True)
class Contribution:
    """What one known thing about a user adds to an item's score: `profile` + `ranker`."""

    source: Source
    item_id: str | None
    """The item that the user likes or dislikes; None for text."""
    profile: float
    """What the inner product of profiles adds."""
    ranker: float
    """What the ranker's correction adds."""
    shared: tuple[SharedFact, ...] = ()
    """What relates the two items, such as the same director, where the release has relations."""


@dataclass(frozen=True)
class Explanation:
    """Why an item has its score for a user. `contributions` and `rest` sum to the score."""

    release: str
    model: str
    """Hash of the model behind profiles and ranker."""
    ranker: str
    item_id: str
    score: float
    contributions: tuple[Contribution, ...]
    """Largest first."""
    rest: float
    """The part of the score that no single thing adds: the share of the typical history, where little is known about
    the user. Otherwise 0 (except for rounding) for linear rankers."""
    words: tuple[tuple[str, float], ...]
    """Each word, and how much lower the score would be without it in the item's text. They do not sum to the score."""
    has_text: bool | None = None
    """Whether the item has a text. If not, its profile is made of other evidence, such as pictures, and there are no
    words. None: the text was not looked at, or the release holds no texts."""
    withheld: str | None = None
    """Why the item is in no list whatever its score, see `publish.withhold`; None: it is not withheld."""
    view_shares: Mapping[str, float] = field(default_factory=dict)
    """How much exact words, the vector of the text, and each view contribute to the item's profile. They sum to 1.
    Empty for a model without views."""


@dataclass(frozen=True)
class Prediction:
    """Predicted behaviour of a user who is shown an item."""

    item_id: str
    click: float
    """P(click)."""
    purchase: float | None
    """P(purchase | click); None: there were no purchases in training."""
    value: float | None
    """Expected value of the user's event with the item; None: there were no values in training."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for the items of a request, in its order."""

    release: str
    items: tuple[Prediction, ...]
    unknown: tuple[str, ...]
    """Ids of the request that are not in the release."""


@dataclass(frozen=True)
class NewItem:
    """An item that is not in the catalogue, as it would be: its profile, neighbours and audience."""

    release: str
    profile_D: NDArray[np.float32]
    """The profile, [D], of unit length."""
    neighbours: tuple[Scored, ...]
    audience: float | None
    """Share of sampled users who would get it in their best 10; None where there are no users, or none sampled yet."""
