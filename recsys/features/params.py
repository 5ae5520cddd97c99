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
    """Names of relations, or words in them, that are not used: they say what is known only after an item's release, so
    held-out items would look better known than new items are."""
    decay: float = Field(ge=0, lt=1)
    """Weight of a thing two links away, relative to 1 for things that the item is linked to. 0: it is not used."""
    max_degree: int = Field(ge=1)
    """A thing with more links than this is a hub: it is not used, and paths do not lead through it."""
