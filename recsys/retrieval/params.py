"""Parameters of the index. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class IndexParams(BaseModel):
    """Section `index`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    exact_below: int = Field(ge=0)
    """Segments with fewer vectors are searched exactly."""
    links: int = Field(ge=16, le=256, multiple_of=2)
    """Links per vector of larger ones; more find more, in a larger file."""
    search_width: int = Field(ge=16, le=4096)
    """Vectors that a search keeps in view; more find more, in more time."""
    recall_queries: int = Field(ge=1)
    """Sampled queries for recall against exact search."""
    seed: int
    """Seed of sampling, of the graph's levels and of its cells."""


class SearchParams(BaseModel):
    """Section `search`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    k1: float = Field(ge=0, allow_inf_nan=False)
    """BM25: how soon repeating a word adds nothing more. At 0 it is enough that a word occurs."""
    b: float = Field(ge=0, le=1)
    """BM25: how much longer items are held back. 0: not; 1: in proportion to their words."""
    lexical_weight: float = Field(ge=0, le=1)
    """Of BM25 beside the cosine of profiles, each over its largest. 0: profiles alone; 1: words alone."""
    user_weight: float = Field(ge=0, allow_inf_nan=False)
    """Of the profile of the user who searches, beside both. 0: everybody gets the same."""
    text_weight: float = Field(ge=0, allow_inf_nan=False)
    """Words about a user count as much as this many items that the user likes."""
