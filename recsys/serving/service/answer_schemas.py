"""Answers in JSON, as the API's schema shows them."""

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsys.serving.answers import Basis
from recsys.serving.service.trial import Trial


class FeedbackAnswer(BaseModel):
    """What became of events. All of them are on disk."""

    n_new: int
    n_known: int = Field(description="Stored before, or given twice.")
    notes: list[str] = Field(
        [], description="Names of events that no rule knows; left out where there are none."
    )


class ShownItem(BaseModel):
    """An item in an answer."""

    item_id: str
    score: float = Field(
        description="Orders this list. It is not a probability, and scores of two requests do not compare."
    )
    title: str | None = None
    description: str | None = None
    tags: list[str] = []
    image: str | None = None
    attributes: dict[str, Any] = {}


class ListAnswer(BaseModel):
    """A list."""

    release: str
    basis: Basis
    items: list[ShownItem]
    unknown: list[str] = Field(default=[], description="Ids of the request that the release does not hold.")


class FoundItem(ShownItem):
    """An item that fits a query."""

    probability: float | None = Field(
        None,
        description="That this is the item that the query looks for, given that it is one of `n_candidates`. Null: "
        "`temperature` is null.",
    )


class SearchAnswer(ListAnswer):
    """A list of items that fit a query."""

    items: list[FoundItem]  # type: ignore[assignment]  # a list of a subclass, which nobody appends to
    n_candidates: int | None = Field(
        description="Items that the list was chosen from. Their probabilities sum to 1. Null: a release from before "
        "search had candidates."
    )
    temperature: float | None = Field(
        description="Of the release, chosen in training: probabilities are exp(score / temperature) over its sum. "
        "Null: training chose none, so no probability is given."
    )


class ExploredItem(ShownItem):
    """An item in a list that explores."""

    propensity: float = Field(
        description="Probability that this place holds this item, given those before it."
    )


class ExploredListAnswer(ListAnswer):
    """A list in which places may go to new items: the service explores, and something is known of the user."""

    items: list[ExploredItem]  # type: ignore[assignment]  # a list of a subclass, which nobody appends to
    list_id: str = Field(description="Name it in feedback on this list.")
    explored: list[int] = Field(description="Places, from 1, that were drawn for new items.")


class SharedAnswer(BaseModel):
    """What relates two items, such as one director."""

    relation: str = Field(description="Of the item that is explained.")
    thing: str = Field(
        description="What both are linked to; the other item itself where they are linked directly."
    )
    other_relation: str = Field(description="Of the liked item.")


class ContributionAnswer(BaseModel):
    """One part of a score."""

    source: str
    item_id: str | None
    title: str | None = None
    profile: float
    ranker: float
    shared: list[SharedAnswer] = Field(
        default=[], description="What relates the two items, where the release holds relations."
    )


class WordAnswer(BaseModel):
    """One word of the item's text."""

    word: str
    effect: float = Field(description="By leave-one-out: how much lower the score would be without it.")


class ExplainAnswer(BaseModel):
    """Why an item has its score. All `profile`, all `ranker` and `rest` sum to it."""

    release: str
    model: str
    ranker: str
    item: ShownItem
    contributions: list[ContributionAnswer]
    rest: float = Field(
        description="What no single thing adds: the share of what a typical user likes, where little is known."
    )
    words: list[WordAnswer]
    has_text: bool | None = Field(
        None,
        description="Whether the item has a text. If not, its profile is made of other evidence, such as pictures. "
        "Null where `words` was not asked for, or the release holds no texts.",
    )
    withheld: str | None = Field(
        None, description="Why the item is in no list whatever its score, if it is withheld."
    )
    view_shares: dict[str, float] = Field(
        default={},
        description="How much words, text and each view count in the item's profile; empty for a model without views.",
    )


class PredictedItem(BaseModel):
    """What a user is expected to do with an item that is shown."""

    item_id: str
    click: float = Field(ge=0, le=1, description="P(click).")
    purchase: float | None = Field(description="P(purchase | click); null where training knew no purchases.")
    value: float | None = Field(
        description="Expected value of the event; null where training knew no values."
    )


class PredictAnswer(BaseModel):
    """Predictions in the order of the request."""

    release: str
    items: list[PredictedItem]
    unknown: list[str] = Field(description="Ids of the request that are not in the release.")
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "release": "3f2a9c",
                    "items": [{"item_id": "50", "click": 0.31, "purchase": 0.62, "value": None}],
                    "unknown": ["181"],
                }
            ]
        }
    )


class ProfileAnswer(BaseModel):
    """What a new item would be."""

    release: str
    profile: list[float]
    neighbours: list[ShownItem]
    audience: float | None = Field(description="Share of sampled users in whose best 10 it would be.")


class TrialAnswer(BaseModel):
    """The release that a share of users gets."""

    release: str
    share: float
    serves: bool = Field(description="Where it does not, everybody gets the current release.")
    problem: str = Field(description="Why it does not serve; empty once it is the current release.")

    @classmethod
    def of(cls, trial: Trial | None) -> "TrialAnswer | None":
        """What a trial says of itself; None where there is none."""
        return cls(**asdict(trial.state)) if trial else None


class ReadyAnswer(BaseModel):
    """A release answers."""

    status: Literal["ready"] = "ready"
    release: str
    trial: TrialAnswer | None = Field(None, description="Not there: every user gets the same release.")


class StateAnswer(BaseModel):
    """What one worker knows."""

    worker: int = Field(description="Its process id.")
    release: str | None
    next_release: str | None = Field(
        description="Of the workers that take over from this one; null: none do."
    )
    since: str | None
    swaps: int
    refusals: int
    problem: str
    trial: TrialAnswer | None
    feedback_waiting: int | None
    feedback_ships: bool = Field(description="Whether feedback reaches the landing zone.")


class VersionAnswer(BaseModel):
    """What answers here."""

    software: str
    release: str | None
    sequence: int | None
    since: str | None
    model: str | None
    ranker: str | None
    n_items: int | None
    n_users: int | None
    newest_item_at: str | None
    attributes: list[str] = Field(description="What `where` may name.")
    feedback_waiting: int | None = Field(
        description="Events that the release does not hold; null: no feedback here, its store is out of reach, or "
        "there are API keys and the request shows none."
    )
    trial: TrialAnswer | None
    problem: str = Field(description="Why the newest release does not serve; empty where it does.")


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    title: str
    status: int
    detail: str = ""
    remedy: str = ""
    release: str | None = None
