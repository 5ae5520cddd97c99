"""The record of an accepted part, `arrival.json`: where it came from, and the outcome for its rows."""

import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recsys.catalogue.kinds import KINDS
from recsys.errors import RESTORE_DATA, DataDamaged
from recsys.storage.atomic import whole_file


class AcceptedBy(BaseModel):
    """Who let a refused batch in, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    who: str
    why: str


class Statistics(BaseModel):
    """Statistics of a landed file, with which later batches are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_landed: int = 0
    """Rows in the landed file, good and bad."""
    n_deletes: int = 0
    """Deletes among the accepted rows."""
    n_texts: int = 0
    """Accepted rows with text."""
    median_chars: dict[str, float] = Field(default_factory=dict)
    """Text field -> median length in characters where it is not empty."""
    languages: dict[str, int] = Field(default_factory=dict)
    """ISO 639-1 code -> texts detected with confidence, in a sample of the batch."""
    n_language_sample: int = 0
    """Texts in that sample."""
    boilerplate_share: float = 0.0
    """Share of texts equal to the most common long text."""
    near_duplicate_texts: int = 0
    """Long texts, in a sample of the batch, that are nearly the same as another one."""
    widths: dict[str, dict[str, int]] = Field(default_factory=dict, exclude_if=lambda widths: not widths)
    """View -> source -> numbers per vector. Not written where the batch has no vectors."""


class Arrival(BaseModel):
    """The record of one part: where it came from and what became of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str
    kind: str
    """One of KINDS."""
    source: str
    """Name of the landed file, without folders."""
    sha256: str
    """SHA-256 of the landed file's bytes; of the merged ids where parts were merged."""
    size: int
    """Bytes of the landed file."""
    arrived_at: datetime
    """When the landed file was written (its mtime)."""
    n_rows: int = 0
    n_quarantined: int = 0
    n_superseded: int = 0
    """Rows left out because the file itself held a newer row of their item."""
    n_outdated: int = 0
    """Accepted rows older than what the catalogue held: they change nothing."""
    n_pending: int = 0
    """Interactions whose item the catalogue did not hold when they were accepted."""
    notes: tuple[str, ...] = ()
    """Notes for people: how the file was read, what was left out, which rows were superseded."""
    rows_sha256: str = ""
    accepted_by: AcceptedBy | None = None
    """The person who accepted the batch although it was refused."""
    merges: tuple[str, ...] = ()
    """Parts that this one replaces."""
    statistics: Statistics = Statistics()
    merged_arrivals: tuple["Arrival", ...] = ()
    """Records of every landed file in a part of several, oldest first, so compaction loses no record."""

    @field_validator("kind")
    @classmethod
    def _is_known(cls, kind: str) -> str:
        if kind not in KINDS:
            raise ValueError(f"kind should be one of {', '.join(KINDS)}")
        return kind

    def landed(self) -> tuple["Arrival", ...]:
        """One record per landed file in this part: itself, or those it merged."""
        return self.merged_arrivals or (self,)

    @classmethod
    def load(cls, path: Path) -> "Arrival":
        """Read arrival.json.

        Args:
            path: the file.

        Returns:
            The record.

        Raises:
            DataDamaged: it is damaged; names the file.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DataDamaged(
                f"{path} is damaged: {error.errors()[0]['msg']}",
                remedy=RESTORE_DATA,
            ) from error

    def save(self, path: Path) -> None:
        """Write arrival.json: sorted keys, no clock time; merged records without their default values."""
        merged = [record.model_dump(mode="json", exclude_defaults=True) for record in self.merged_arrivals]
        write_json(path, self.model_dump(mode="json") | {"merged_arrivals": merged})


def write_json(path: Path, value: object) -> None:
    """Write JSON, whole or not at all; the same value gives the same bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    with whole_file(path) as temporary:
        temporary.write_text(f"{text}\n", "utf-8")
