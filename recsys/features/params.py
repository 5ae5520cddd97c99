"""Parameters of the texts of items. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field


class FeaturesParams(BaseModel):
    """Section `features`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    fields: tuple[str, ...] = Field(min_length=1)
    """Text fields in order: title, description, tags or the name of an attribute."""
    max_chars: int = Field(gt=0)
    """Longer texts are cut, at a word boundary."""
