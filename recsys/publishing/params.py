"""Parameters of publishing. Values live in params.yaml."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from recsys.catalogue.kinds import CATALOGUE, KINDS
from recsys.publishing.withheld import Withheld


class PublishParams(BaseModel):
    """Section `publish`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    min_index_recall: float = Field(ge=0, le=1)
    """A release is refused if its index has a lower recall against exact search, for queries of items or of users."""
    smoke_queries: int = Field(ge=0)
    """Number of text queries whose neighbours are recorded and compared with the parent's."""
    min_smoke_overlap: float = Field(ge=0, le=1)
    """A release is refused if fewer of the parent's neighbours are found again, while the model is unchanged."""
    k: int = Field(ge=1)
    """Length of the smoke lists."""
    attributes: tuple[str, ...]
    """Further columns of the catalogue that a release carries, to be shown and to filter by."""
    description_chars: int = Field(ge=0)
    """Longer descriptions are cut in a release, at a word boundary."""
    withhold: tuple[Withheld, ...]
    """Items that appear in no list, search or neighbourhood: entries with `items` or `tags`, `who`, `why` and perhaps
    `until`. They take effect with the next release."""

    @field_validator("attributes")
    @classmethod
    def _further_and_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if taken := [name for name in names if name in KINDS[CATALOGUE].columns or names.count(name) > 1]:
            raise ValueError(f"{taken[0]} is a column that every release carries, or named twice")
        return names


class CollectParams(BaseModel):
    """Section `collect`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    keep_releases: int = Field(ge=2)
    """Number of newest releases that `collect` keeps, in addition to the current one."""
    grace_s: int = Field(ge=7200)
    """Seconds, by the store's clock, for which every new object and release is kept."""
    forget_days: float = Field(ge=0)
    """Days after `recsys forget` by which releases that still hold the person go, however few are left."""
