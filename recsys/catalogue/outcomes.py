"""What became of landed files."""

from dataclasses import dataclass, field

from recsys.catalogue.arrival import AcceptedBy
from recsys.catalogue.refusals import Problem, Reason, Refusal
from recsys.storage.protocol import PassedOver

ACCEPTED, REFUSED, REPEATED, UNCHANGED, WAITING = "accepted", "refused", "repeated", "unchanged", "waiting"


@dataclass(frozen=True)
class LetIn:
    """A person's decision to let a refused batch in."""

    batch: str
    by: AcceptedBy


@dataclass(frozen=True)
class Outcome:
    """What became of one landed file."""

    key: str
    kind: str
    status: str
    """accepted; refused; repeated (accepted by a run that was killed before it moved the file away); unchanged (brings
    nothing new); waiting (written again while it was read: the next run takes it in)."""
    batch: str
    part: str | None = None
    n_rows: int = 0
    """Rows accepted."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Reason -> rows."""
    superseded: int = 0
    """Rows superseded by a newer one, in the file or in the catalogue."""
    pending: int = 0
    """Interactions accepted that wait for their items."""
    reasons: tuple[Reason, ...] = ()
    """Why rows are in quarantine, with first lines, an example and a remedy."""
    notes: tuple[str, ...] = ()
    """How the file was read, what was left out, which rows were superseded."""
    problems: tuple[Problem, ...] = ()
    can_be_accepted: bool = False
    warnings: tuple[str, ...] = ()


def of_refusal(record: Refusal) -> Outcome:
    """The outcome of a refused batch, from its record."""
    return Outcome(
        record.key,
        record.kind,
        REFUSED,
        record.batch,
        quarantined=record.quarantined,
        reasons=record.reasons,
        notes=record.notes,
        problems=record.problems,
        can_be_accepted=record.can_be_accepted,
    )


@dataclass(frozen=True)
class IngestReport:
    """What became of everything that waited."""

    outcomes: tuple[Outcome, ...]
    still_refused: tuple[Refusal, ...] = ()
    """Refused in an earlier run and unchanged since."""
    skipped: tuple[PassedOver, ...] = ()
    """Entries of the landing zone that are no regular file or cannot be read."""
    pending: int = 0
    """Accepted interactions that wait for their items, from this run and all before."""

    @property
    def accepted(self) -> tuple[Outcome, ...]:
        """New parts."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == ACCEPTED)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Batches stopped in this run."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == REFUSED)
