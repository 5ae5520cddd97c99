"""The report of monitoring (report.json): figures of the newest arrivals, and alarms with examples."""

from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from recsys.errors import ArtifactMissing, DataDamaged
from recsys.storage.atomic import write_document

FORMAT: Literal[1] = 1


class Frozen(BaseModel):
    """Immutable; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reading(Frozen):
    """A figure of an arrival."""

    value: float
    expected: float
    lower: float | None
    """A lower figure would by itself be an alarm; None: no limit."""
    upper: float | None
    p: float
    """Probability of a figure at least so far out in an ordinary arrival, by this signal alone."""
    smallest: float
    """The change from `expected` that would be noticed with probability .95: the power of the test."""
    n_past: int
    """Earlier arrivals it is compared with."""


class Moved(Frozen):
    """A word or a value that is in more or fewer rows than before."""

    name: str
    before: float
    """Share of rows."""
    now: float


class Shown(Frozen):
    """A row that is unlike those before."""

    item_id: str
    text: str


class Alarm(Frozen):
    """A figure that is not ordinary, with examples."""

    signal: str
    title: str
    is_new: bool
    """Whether the arrival before did not have it."""
    moved: tuple[Moved, ...] = ()
    rows: tuple[Shown, ...] = ()
    before: tuple[Shown, ...] = ()
    """Ordinary rows of earlier arrivals."""


class Judged(Frozen):
    """One arrival, or several small ones."""

    name: str
    """Part id of the arrival (of its last part, if it has several), or id of the release."""
    parts: tuple[str, ...]
    at: datetime
    n_rows: int
    is_learning: bool = False
    """Whether there were too few earlier arrivals to judge it."""
    readings: dict[str, Reading] = {}
    alarms: tuple[Alarm, ...] = ()


class Watched(Frozen):
    """A table: catalogue, interactions or releases."""

    table: str
    titles: dict[str, str]
    """Signal -> what it says."""
    n_arrivals: int
    """All that ever arrived."""
    needed: int
    """Arrivals that are needed before one is judged."""
    n_waiting: int
    """Rows that are too few to be judged as yet."""
    judged: tuple[Judged, ...]
    """The newest arrivals, oldest first."""
    notes: tuple[str, ...] = ()
    """Further notes for people, such as about a wrong clock."""

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Alarms of the newest arrival."""
        return self.judged[-1].alarms if self.judged else ()

    def sentence(self) -> str:
        """Where it stands, for people."""
        if not self.judged:
            return f"learning, {self.n_arrivals} of {self.needed} earlier arrivals"
        newest = self.judged[-1]
        if newest.is_learning:
            return f"learning, {self.n_arrivals} of {self.needed} earlier arrivals"
        if newest.alarms:
            return f"{newest.name}: {', '.join(alarm.title for alarm in newest.alarms)}"
        return f"{newest.name} is ordinary"


class WatchReport(Frozen):
    """Everything that is watched."""

    format: Literal[1] = FORMAT
    tables: tuple[Watched, ...]

    def save(self, path: Path) -> None:
        """Write it as JSON; the same report gives the same bytes."""
        write_document(path, self)

    @classmethod
    def load(cls, path: Path) -> "WatchReport":
        """Read report.json.

        Args:
            path: the file.

        Returns:
            The report.

        Raises:
            ArtifactMissing: stage `monitor` has not run.
            DataDamaged: the file is damaged, or of a newer version.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{path} does not exist", remedy="dvc repro monitor") from error
        except ValidationError as error:
            remedy = "dvc repro --force --single-item monitor"
            raise DataDamaged(f"{path} is damaged: {error.errors()[0]['msg']}", remedy=remedy) from error
