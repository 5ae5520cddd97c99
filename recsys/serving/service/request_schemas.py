"""Bodies of requests in JSON. Unknown keys are refused: a misspelt filter must not be ignored."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def storable(text: str) -> str:
    """Refuse what no encoder or database takes: JSON may hold half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"holds half a surrogate pair at character {error.start}") from error
    return text


QUICK = 100
"""Items of a list, and likes and dislikes of its user, up to which it is quick: 100,000 items and 1,000 likes took ten
times as long as 10 likes."""
Id = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Words = Annotated[str, AfterValidator(storable)]
Where = Annotated[
    dict[str, Any],
    Field(
        description="Conditions that all must hold: tags and attributes, by a value, a list of values, or an object "
        "with `eq`, `in`, `not`, `gte`, `gt`, `lte`, `lt`.",
        max_length=16,
        examples=[{"tags": ["Horror", "Thriller"]}],
    ),
]


class Body(BaseModel):
    """Base of requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def is_quick(self) -> bool:
        """Whether the answer takes no more than some milliseconds, if as little is known of its user."""
        return False


class ListBody(Body):
    """Which items, and how many."""

    k: int = Field(10, ge=1, description="Length of the list.")
    where: Where = Field(default_factory=dict)
    candidates: list[Id] | None = Field(None, description="Rank these items alone.")
    exclude_seen: bool = Field(True, description="Leave out what the user likes or dislikes.")
    diversity: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="Maximal marginal relevance; 0: by score alone."
    )


class UserBody(Body):
    """Who the request is about: any of these fields, alone or together; without any, somebody unknown."""

    user: Id | None = Field(
        None, description="A raw user id, as it lands; the service knows the pseudonym key."
    )
    pseudonym: Id | None = Field(None, description="A pseudonym, instead of a raw id.")
    history: list[Id] = Field(default_factory=list, description="Items that the user likes, oldest first.")
    text: Words = Field("", description="Words about the user.", examples=["likes slow science fiction"])


class SimilarQuery(Body):
    """GET /v1/similar/{item}."""

    k: int = Field(10, ge=1, description="Length of the list.")


class RecommendBody(UserBody, ListBody):
    """POST /v1/recommend."""

    request_id: Words = Field(
        "",
        max_length=128,
        description="Chosen by the client, such as a UUID, anew for each request. Where the service explores, a "
        "request that is sent again under its id gets the same list.",
    )
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "likes slow science fiction", "k": 5},
                {"history": ["50", "181"], "diversity": 0.3},
            ]
        }
    )

    @property
    def is_quick(self) -> bool:
        """Without words, which an encoder reads, and without conditions, for which more items may be compared."""
        plain = not (self.text or self.where or self.candidates or self.diversity)
        return plain and self.k <= QUICK and len(self.history) <= QUICK


class SearchBody(UserBody, ListBody):
    """POST /v1/search: for everybody, or for a user, whose profile then counts a little."""

    query: Words = Field(min_length=1, description="Words.", examples=["a shark terrifies a beach town"])
    exclude_seen: bool = Field(False, description="Leave out what the user likes.")


class ExplainBody(UserBody):
    """POST /v1/explain."""

    item: Id
    words: bool = Field(False, description="Leave each word of the item's text out in turn; takes longer.")


class PredictBody(UserBody):
    """POST /v1/predict."""

    items: list[Id] = Field(min_length=1, description="Predict for these; an id counts once.")
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": "ann", "items": ["50", "181"]}, {"history": ["50"], "items": ["181"]}]
        }
    )


class ProfileBody(Body):
    """POST /v1/profile: an item that is not in the catalogue, as text or as a row of the catalogue."""

    text: Words = Field(
        "",
        description="A line for each field, such as title and description.",
        examples=["A lighthouse keeper hears voices from the sea"],
    )
    row: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields of the catalogue instead of text; those that profiles are made of count.",
        examples=[{"title": "The Lighthouse", "tags": ["Horror"]}],
    )
    k: int = Field(10, ge=1, description="Neighbours.")


class EventBody(Body):
    """One thing that a user did."""

    event_id: str = Field(
        description="Chosen by the client, such as a UUID; a repeated event has the same one."
    )
    user: Id | None = Field(None, description="A raw user id.")
    pseudonym: Id | None = Field(None, description="A pseudonym, instead of a raw id.")
    item_id: Id
    event: str = Field(examples=["click", "like", "unlike"])
    value: float | None = None
    at: datetime | None = Field(None, description="When it happened, with its offset; default: now.")
    release: str | None = Field(
        None, description="The release whose list the user acted on.", pattern="^[!-~]{1,128}$"
    )
    list_id: str | None = Field(
        None,
        description="The list that the user acted on, where it has an id. It is logged with the event, so that "
        "`recsys off-policy` knows the list's rewards.",
        pattern="^[0-9a-f]{32}$",
    )


class FeedbackBody(Body):
    """POST /v1/feedback."""

    events: list[EventBody] = Field(
        min_length=1,
        examples=[[{"event_id": "6f1c2e", "user": "ann", "item_id": "50", "event": "like"}]],
    )
