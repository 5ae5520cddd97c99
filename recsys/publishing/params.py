"""What steers publishing. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsys.catalogue.schemas import CATALOGUE, OURS


class PublishParams(BaseModel):
    """Section `publish`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    min_index_recall: float = Field(ge=0, le=1)
    """Recall of the index against exact search under which a release is refused."""
    smoke_queries: int = Field(ge=0)
    """Text queries whose neighbours are recorded and compared with the parent's."""
    min_smoke_overlap: float = Field(ge=0, le=1)
    """Overlap at k with the recorded neighbours, while the encoder is unchanged."""
    k: int = Field(ge=1)
    """Length of the smoke lists."""
    attributes: tuple[str, ...]
    """Further columns of the catalogue that a release carries, to be shown and to filter by."""
    description_chars: int = Field(ge=0)
    """A description is cut here in a release, at a word boundary."""

    @field_validator("attributes")
    @classmethod
    def _further_and_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if taken := [name for name in names if name in OURS[CATALOGUE] or names.count(name) > 1]:
            raise ValueError(f"{taken[0]} is a column that every release carries, or named twice")
        return names


class CollectParams(BaseModel):
    """Section `collect`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    keep_releases: int = Field(ge=2)
    """Newest releases that `collect` leaves, beside the one that readers get."""
    grace_s: int = Field(ge=7200)
    """Seconds, by the store's clock, for which every new object and release stays."""
