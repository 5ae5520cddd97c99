"""Records of batches that were refused: `var/refused/<batch>-<8 hex of the key>.json`. The landed file stays."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from recsys.catalogue.arrival import AcceptedBy, write_json
from recsys.catalogue.landing import Landed


class Problem(BaseModel):
    """One check that a batch failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    check: str
    """Name of the check, or class of the error."""
    message: str = Field(validation_alias=AliasChoices("message", "says"))
    """What was expected and what was found. Older records call it `says`."""
    remedy: str


class Reason(BaseModel):
    """Why rows of a batch are in quarantine, or would be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    meaning: str
    n_rows: int
    lines: tuple[int, ...]
    """The first source lines."""
    detail: str
    """What is wrong with the first of these rows; holds no value of an interaction."""
    remedy: str

    @property
    def shown_lines(self) -> str:
        """The first lines, and whether there are more."""
        return ", ".join(f"{line:,}" for line in self.lines) + (" …" if self.n_rows > len(self.lines) else "")


class Refusal(BaseModel):
    """Why a batch was refused; it has changed nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: str
    """First 10 hex of the file's SHA-256 (of its name and version where it was not read)."""
    kind: str
    key: str
    """The file's place in the landing zone, as text."""
    version: str
    """Version of the refused file; a new version is judged again."""
    size: int
    arrived_at: datetime
    problems: tuple[Problem, ...]
    can_be_accepted: bool
    """Whether `ingest --accept` may overrule it: true if only checks failed that are a matter of judgement."""
    n_rows: int = 0
    quarantined: dict[str, int] = Field(default_factory=dict)
    """Reason -> rows."""
    reasons: tuple[Reason, ...] = ()
    """The same with first lines, an example and a remedy."""
    notes: tuple[str, ...] = ()
    """How the file was read, which rows were superseded."""
    is_retried: bool = False
    """Whether every run tries again, because the cause may disappear without a new version of the file."""
    judged_with: str = ""
    """`IngestParams.digest` of the parameters that it was judged with; under others it is judged again. Empty in
    records of older versions."""
    accepted_by: AcceptedBy | None = None
    part: str | None = None
    """The part it became when it was let in."""

    def save(self, folder: Path) -> None:
        """Write the record; files with the same bytes have a record each."""
        folder.mkdir(parents=True, exist_ok=True)
        key = sha256(self.key.encode()).hexdigest()[:8]
        write_json(folder / f"{self.batch}-{key}.json", self.model_dump(mode="json"))


def refusals(folder: Path) -> tuple[Refusal, ...]:
    """Every record, by time of arrival. A damaged record is left out, so its file is judged again."""
    found = [refusal for _, refusal in _records(folder)]
    return tuple(sorted(found, key=lambda refusal: (refusal.arrived_at, refusal.key, refusal.batch)))


def standing(folder: Path) -> tuple[Refusal, ...]:
    """Refusals that nobody has overruled."""
    return tuple(refusal for refusal in refusals(folder) if refusal.accepted_by is None)


def still_refused(refused: Sequence[Refusal], judged_with: str) -> set[tuple[str, str]]:
    """Key and version of refused files that the next intake leaves alone.

    Args:
        refused: refusals that nobody has overruled.
        judged_with: `IngestParams.digest` of the parameters as they are now.

    Returns:
        Those that were judged with these, and would be refused again.
    """
    return {
        (one.key, one.version) for one in refused if not one.is_retried and one.judged_with == judged_with
    }


def forget_outdated(folder: Path, landed: Sequence[Landed]) -> None:
    """Remove the records of files that are gone or were written again; batches let in by hand stay on record."""
    present = {(file.shown, file.version) for file in landed}
    for path, refusal in _records(folder):
        if refusal.accepted_by is None and (refusal.key, refusal.version) not in present:
            path.unlink(missing_ok=True)


def _records(folder: Path) -> list[tuple[Path, Refusal]]:
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append((path, Refusal.model_validate_json(path.read_bytes())))
        except (ValidationError, OSError):
            continue
    return found


def batch_id(landed: Landed, digest: str | None) -> str:
    """The id by which a refused file is let in."""
    unread = f"{landed.key}\n{landed.version}".encode("utf-8", "surrogateescape")
    return (digest or sha256(unread).hexdigest())[:10]
