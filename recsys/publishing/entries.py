"""Entries of a release's manifest: files, segments, histories, users, settings of search and smoke queries."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recsys.publishing.formats import COMPACT, FORMAT, SIGNS
from recsys.publishing.spent import ReleasedPrivacy
from recsys.storage.names import PlainName, Sha256

Count = Annotated[int, Field(ge=0)]


class Frozen(BaseModel):
    """Immutable; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class File(Frozen):
    """One object of the store."""

    name: PlainName
    """Name of the file in the workspace."""
    size: Count
    """Bytes."""
    sha256: Sha256
    """SHA-256 of its content, in hex; its key in the store is objects/<sha256>."""


class Preprocessing(Frozen):
    """How an item's fields become one text."""

    version: int
    fields: tuple[str, ...]
    max_chars: int


class SegmentIndex(Frozen):
    """How a segment is searched."""

    kind: Literal["exact", "signs", "compact", "graph", "hnsw", "ivf"]
    file: File | None
    """File of the index; None where search is exact."""
    recall: float
    """Recall@10 against exact search, for a sample of queries."""


class ReleasedSegment(Frozen):
    """Item profiles of one part, or of several merged ones."""

    name: PlainName
    parts: tuple[PlainName, ...]
    """Landed parts whose rows it holds."""
    n_items: Count
    n_deleted: Count
    rows: File
    vectors: File
    index: SegmentIndex
    details: File | None = None
    """What a page shows of its items; None, and not written, in releases from before there were details."""
    terms: File | None = None
    """Which words occur in which of its items; None, and not written, in releases without them."""
    facts: File | None = None
    """Relations of its items, for explanations and rankers; None, and not written, where none has any."""

    @property
    def files(self) -> tuple[File, ...]:
        """Its objects."""
        found = (self.rows, self.vectors, self.index.file, self.details, self.terms, self.facts)
        return tuple(file for file in found if file)


class ReleasedHistory(Frozen):
    """Interactions of one part, or of several merged ones."""

    part: PlainName
    parts: tuple[PlainName, ...]
    """Landed parts whose pairs it holds."""
    file: File


class ReleasedPrior(Frozen):
    """The prior of ridge users, see `recsys/profiles/prior.py`."""

    file: File
    """float32 [r, d], the rows with their weight; named by the key of what it was made of. The last digits depend on
    the processor, so of one key the file that was published first stays."""
    n_rows: Annotated[int, Field(ge=1)]
    """r."""


class ReleasedUsers(Frozen):
    """What is the same for all users."""

    gram: File
    """float64 [d, d], XᵀX over the items that have an interaction."""
    ridge_lambda: float = Field(gt=0)
    n_users: Count
    n_items: Count
    """Live items that have an interaction."""
    prior: ReleasedPrior | None = None
    """What tastes have in common; None, and not written, where there is no prior."""
    privacy: ReleasedPrivacy | None = None
    """Of gram, n_users and n_items; None, and not written, where they have no noise."""


class ReleasedSearch(Frozen):
    """How items are found by words: as section `search` says it, with the weights that validation chose."""

    k1: float = Field(ge=0, allow_inf_nan=False)
    b: float = Field(ge=0, le=1)
    lexical_weight: float = Field(ge=0, le=1)
    user_weight: float = Field(ge=0, allow_inf_nan=False)
    text_weight: float = Field(ge=0, allow_inf_nan=False)
    typical_weight: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Weight of the typical history; None, and not written, in releases that are older than it."""
    temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Makes probabilities of scores; None, and not written, where validation chose none."""


class SmokeQuery(Frozen):
    """A text and its recorded neighbours."""

    text: str
    neighbours: tuple[str, ...]


def format_of_indexes(segments: Iterable[ReleasedSegment]) -> Literal[1, 14, 16]:
    """The oldest format whose readers know how some segments are searched."""
    kinds = {segment.index.kind for segment in segments}
    return SIGNS if "signs" in kinds else COMPACT if "compact" in kinds else FORMAT
