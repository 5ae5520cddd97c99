"""Parameters of the index. Values live in params.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

WIDEST_SEARCH = 4096
"""Rows that a search may keep in view; bounds what a file or a manifest can make a search cost."""
FOUR_BITS_FROM = 256
"""From so many dimensions on an index keeps 4 bits per number: the errors of more numbers cancel out. Narrower vectors
are small anyway, and get 8."""
SIGNS_FROM = 768
"""From so many on it keeps 1 bit, the sign, unless the vectors have much in common (`MOST_IN_COMMON` of
`coarseness.py`). Of 65,000 similar titles in 384 dimensions the 400 with the most equal signs hold .86 of the true 100
best; of 100,000 in 1,024 dimensions they hold .99."""
RECALL_AT = 10
"""Length of the lists by which indexes are judged."""
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class IndexParams(BaseModel):
    """Section `index`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    exact_below: int = Field(ge=0)
    """Segments with fewer vectors are searched exactly."""
    links: int = Field(ge=16, le=256, multiple_of=2)
    """Links per vector of larger ones; more find more, in a larger file."""
    search_width: int = Field(ge=16, le=WIDEST_SEARCH)
    """Vectors that a search keeps as candidates; more find more, in more time. Where these find too few, two and four
    times as many are tried: by stage `index` for queries of items, and by `publish` for those of users, which tries
    eight times as many too."""
    least_recall: float = Field(ge=0, le=1)
    """Recall@10 below which searches keep more candidates: those of a segment for items, which stage `index` measures,
    and those of the release for users, which `publish` measures."""
    recall_queries: int = Field(ge=1)
    """Sampled queries for recall against exact search."""
    seed: int
    """Seed of sampling, of the graph's levels and of its cells."""


class SearchParams(BaseModel):
    """Section `search`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    k1: float = Field(ge=0, allow_inf_nan=False)
    """BM25: how soon repeating a word adds nothing more. At 0 it only matters whether a word occurs."""
    b: float = Field(ge=0, le=1)
    """BM25: how much longer texts are penalised. 0: not at all; 1: in proportion to their number of words."""
    lexical_weight: float = Field(ge=0, le=1)
    """Weight of BM25; the cosine of profiles has the rest. Each is divided by its largest value. 0: profiles alone; 1:
    words alone."""
    user_weight: float = Field(ge=0, allow_inf_nan=False)
    """Weight of the profile of the user who searches, beside both. 0: everybody gets the same."""
    text_weight: float = Field(ge=0, allow_inf_nan=False)
    """A text about a user counts as much as this many items that the user likes."""
    typical_weight: float = Field(ge=0, allow_inf_nan=False)
    """How many liked items the typical user (the mean of all users) counts as in a user's history. It counts fully
    where nothing is known of the user, less with each known like, and not at all from 20 on."""
    lexical_weights: tuple[Annotated[float, Field(ge=0, le=1)], ...]
    """Values of `lexical_weight` among which validation chooses in training; empty: none is chosen."""
    user_weights: tuple[Weight, ...]
    """Values of `user_weight` that validation tries."""
    text_weights: tuple[Weight, ...]
    """Values of `text_weight` that validation tries."""
    typical_weights: tuple[Weight, ...]
    """Values of `typical_weight` that validation tries."""
    queries: str
    """File of judged queries to choose `lexical_weight` by; relative paths start at the workspace. JSON lines with
    `query`, `item_id` and perhaps `grade`. Empty: queries are made from the catalogue's texts."""
    max_queries: int = Field(ge=1)
    """The most queries, and users, that weights are chosen by."""
    hidden_share: float = Field(ge=0, le=1)
    """Share of the queries made from texts whose words are taken out of the text that they should find: people
    rarely search with the words of the text."""
    standard_errors: float = Field(ge=0, allow_inf_nan=False)
    """A value is chosen in place of that of params.yaml if its gain minus this many standard errors is above 0."""
    seed: int
    """Seed of the queries and users that are drawn."""
