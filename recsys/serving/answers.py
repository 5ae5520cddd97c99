"""What is asked of a release, and what it answers. Ids are texts; every answer names its release."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recsys.profiles.facts import SharedFact

Basis = Literal["profile", "popular"]
"""What a list was made of: the user's profile; or popular and new items, where nothing is known of the user."""


@dataclass(frozen=True)
class Scored:
    """One place of a list."""

    item_id: str
    score: float
    """Inner product in the space of the profiles, corrected by the release's ranker; comparable within one list."""
    probability: float | None = None
    """In search: that this is the item that the query looks for, given that one of the candidates is. None: the release
    has no temperature to make one of the score, or this is another list."""


@dataclass(frozen=True)
class Taste:
    """What is known of a user, by item ids and words."""

    likes: Iterable[str | int] = ()
    """Oldest first; an id counts once."""
    dislikes: Iterable[str | int] = ()
    """Never recommended while `exclude_seen` holds; they move the profile only where `weights` say so."""
    text: str = ""
    """Words about the user, such as "likes slow science fiction"."""
    feedback: frozenset[str] = frozenset()
    """Likes that came as feedback since the release was made."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """How much an item counts in the profile, by its id. One that is not named counts as 1 if liked, as 0 if not."""


@dataclass(frozen=True)
class ListRequest:
    """Which items may be in a list, and how long it is."""

    k: int = 10
    """Length; all items that are allowed where there are fewer."""
    where: Mapping[str, Any] = field(default_factory=dict)
    """Conditions on tags and attributes, see `recsys/serving/filters.py`."""
    candidates: Iterable[str | int] | None = None
    """Rank these items alone; None: all."""
    exclude_seen: bool = True
    """Leave out what the user likes or dislikes."""
    diversity: float = 0.0
    """Weight of maximal marginal relevance. 0: by score alone; towards 1, items unlike those before come first."""
    request_id: str = ""
    """Where lists explore: a request that is sent again under its id gets the same draws; each other request needs an
    id of its own. Empty: other draws each time."""
    whose: str = ""
    """Where lists explore: the user's pseudonym, so that each user gets other draws; empty: nobody by name."""


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
    """For each place, the probability that it holds this item, given the places before."""
    draws: tuple[Draw, ...]
    """Explored places, in the order of the list."""
    candidates: NewCandidates
    """Empty where no place explored."""
    user_group: int | None = None
    """What the log tells of the user; None: nothing, since nobody was named."""


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
"""What a contribution comes from; a dislike only where the model lets it count."""


@dataclass(frozen=True)
class Contribution:
    """What one thing that is known of a user adds to an item's score: `profile` + `ranker`."""

    source: Source
    item_id: str | None
    """The item that the user likes or dislikes; None for text."""
    profile: float
    """What the inner product of profiles adds."""
    ranker: float
    """What the ranker's correction adds."""
    shared: tuple[SharedFact, ...] = ()
    """What relates the two items, such as one director, where the release holds relations."""


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
    """What no single thing adds: the share of what a typical user likes, where little is known of this one; otherwise 0
    but for rounding with rankers that are linear."""
    words: tuple[tuple[str, float], ...]
    """Each word, and how much lower the score would be if the item's text lacked it. They do not sum to the score."""
    withheld: str | None = None
    """Why the item is in no list whatever its score, see `publish.withhold`; None: it may be."""
    view_shares: Mapping[str, float] = field(default_factory=dict)
    """How much exact words, the vector of the text, and each view count in the item's profile. They sum to 1. Empty for
    a model without views."""


@dataclass(frozen=True)
class Prediction:
    """What a user is expected to do with an item that is shown."""

    item_id: str
    click: float
    """P(click)."""
    purchase: float | None
    """P(purchase | click); None: training knew no purchases."""
    value: float | None
    """Expected value of the user's event with the item; None: training knew no values."""


@dataclass(frozen=True)
class Predictions:
    """Predictions for the items of a request, in its order."""

    release: str
    items: tuple[Prediction, ...]
    unknown: tuple[str, ...]
    """Ids of the request that are not in the release."""


@dataclass(frozen=True)
class NewItem:
    """What an item that is not in the catalogue would be."""

    release: str
    profile_D: NDArray[np.float32]
    """The profile, [D], of unit length."""
    neighbours: tuple[Scored, ...]
    audience: float | None
    """Share of sampled users in whose best 10 it would be; None where there are no users, or none sampled yet."""
