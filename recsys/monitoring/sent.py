"""alerts.json: arrivals that alerts were sent about, and alarms that should start a training."""

from pathlib import Path
from typing import Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from recsys.storage.atomic import write_document

FILE, FORMER = "alerts.json", "told.json"
"""Name of the file, and its name in older versions."""


class Answer(BaseModel):
    """The last answer of `wake-training`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    """The run that got it."""
    calls: tuple[str, ...]
    """Table, arrival and signal of each alarm that should start a training."""


class SentAlerts(BaseModel):
    """alerts.json. Keys of older versions, named in the aliases, are read too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checked: dict[str, str] = Field({}, validation_alias=AliasChoices("checked", "seen"))
    """Table -> the last of its arrivals that was checked for alarms."""
    calls: tuple[str, ...] = Field((), validation_alias=AliasChoices("calls", "wake"))
    """Table, arrival and signal of each alarm that should start a training, and that no run has answered yet."""
    answered: Answer | None = None

    @classmethod
    def load(cls, watch: Path) -> Self:
        """Read alerts.json, or the file that an older version left; empty where neither can be read.

        Args:
            watch: var/watch.

        Returns:
            The record.
        """
        for name in (FILE, FORMER):
            try:
                return cls.model_validate_json((watch / name).read_bytes())
            except (FileNotFoundError, ValidationError):
                continue
        return cls()

    def save(self, watch: Path) -> None:
        """Write alerts.json atomically."""
        write_document(watch / FILE, self)
        (watch / FORMER).unlink(missing_ok=True)
