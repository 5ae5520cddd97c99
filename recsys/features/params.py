"""Parameters of the texts of items. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class FeaturesParams(BaseModel):
    """Section `features`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    fields: tuple[str, ...] = Field(min_length=1)
    """Text fields in order: title, description, tags or the name of an attribute."""
    max_chars: int = Field(gt=0)
    """Longer texts are cut, at a word boundary."""


class RelationsParams(BaseModel):
    """Section `relations`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    left_out: tuple[str, ...]
    """Names of relations, or words in them, that are not used: what is known only after an item's release would make
    new items look better known than they are."""
    decay: float = Field(ge=0, lt=1)
    """Weight of a thing two links away, beside 1 for those that the item is linked to. 0: it is not named."""
    max_degree: int = Field(ge=1)
    """A thing with more links than this is a hub: it is not named, and no way leads through it."""
