"""The kinds of tables that may land. A kind is a folder of the landing zone and of data/, and an entry of KINDS.

A new kind needs three entries: what its columns mean, in KINDS here; how its parts are stored, in `schemas.SCHEMAS`;
and how a row is read, in `batch.READERS`. Checks that only this kind needs go into `expectations.py` and `measures.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CATALOGUE, INTERACTIONS, RELATIONS, VECTORS = "catalogue", "interactions", "relations", "vectors"
IMPRESSIONS = "impressions"


@dataclass(frozen=True)
class Kind:
    """What the rows of a kind are, and what their columns mean."""

    columns: tuple[str, ...]
    """Known columns, as they land."""
    required: tuple[tuple[str, ...], ...]
    """Of each group a file must have one column."""
    ids: tuple[str, ...]
    """Known columns that hold ids or names."""
    names: tuple[str, ...]
    """Stored columns that no row may leave empty; each is as long as an id at most."""
    time: str
    """Column of the row's time."""
    key: tuple[str, ...] = ()
    """Columns that say what a row is about: a newer row replaces an older one with the same values. Empty where
    every row stands for itself."""
    things: str = "rows"
    """What a key stands for, in plural, for messages."""
    holder: str = "the workspace"
    """What holds them, for messages."""
    tags: tuple[str, ...] = ()
    """Known columns that hold lists of texts."""
    numbers: tuple[str, ...] = ()
    """Known columns that hold a number."""
    shows_values: bool = False
    """Whether messages may show a value of a row. False where it may be a person's."""
    wakes: bool = False
    """Whether a landed file starts `profile_arrivals` at once instead of waiting for the next sweep."""
    of_people: bool = False
    """Whether a row is about one user, whose id becomes a pseudonym."""
    released: bool = True
    """Whether releases are made of its rows. Others are only learned from."""
    also_called: tuple[str, ...] = ()
    """Other names that people give the folder."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        CATALOGUE: Kind(
            columns=("item_id", "title", "description", "tags", "image", "updated_at", "deleted"),
            required=(("item_id",), ("title", "description", "tags", "deleted")),
            ids=("item_id",),
            names=("item_id",),
            time="updated_at",
            key=("item_id",),
            things="items",
            holder="the catalogue",
            tags=("tags",),
            shows_values=True,
            wakes=True,
            also_called=(
                "catalog", "catalogs", "item", "items", "product", "products", "articles", "movies", "films",
            ),
        ),
        INTERACTIONS: Kind(
            columns=("user_id", "item_id", "event", "value", "timestamp"),
            required=(("user_id", "user_pseudonym"), ("item_id",)),
            ids=("user_id", "item_id"),
            names=("item_id",),
            time="timestamp",
            numbers=("value",),
            of_people=True,
            also_called=(
                "interaction", "event", "events", "click", "clicks", "rating", "ratings", "views", "orders",
            ),
        ),
        RELATIONS: Kind(
            columns=("head", "relation", "tail", "updated_at", "deleted"),
            required=(("head",), ("relation",), ("tail",)),
            ids=("head", "relation", "tail"),
            names=("head", "relation", "tail"),
            time="updated_at",
            key=("head", "relation", "tail"),
            things="relations",
            wakes=True,
            also_called=("relation", "graph", "kg", "knowledge", "knowledgegraph", "triples", "links", "edges"),
        ),
        VECTORS: Kind(
            columns=("item_id", "view", "vector", "source", "updated_at", "deleted"),
            required=(("item_id",), ("view",), ("vector", "deleted")),
            ids=("item_id", "view", "source"),
            names=("item_id", "view"),
            time="updated_at",
            key=("item_id", "view"),
            things="vectors",
            wakes=True,
            also_called=("vector", "embedding", "embeddings"),
        ),
        IMPRESSIONS: Kind(
            columns=("user_id", "item_id", "request", "position", "propensity", "timestamp"),
            required=(("user_id", "user_pseudonym"), ("item_id",)),
            ids=("user_id", "item_id", "request"),
            names=("item_id",),
            time="timestamp",
            numbers=("position", "propensity"),
            of_people=True,
            released=False,
            also_called=("impression", "exposure", "exposures", "shown"),
        ),
    }
)  # fmt: skip
"""Kind -> its entry, in the order of intake: items first, so that what names them finds them."""
