"""What became of landed files."""

from dataclasses import dataclass, field

from recsys.catalogue.parts import AcceptedBy
from recsys.catalogue.refusals import Problem, Refusal

ACCEPTED, REFUSED, REPEATED, WAITING = "accepted", "refused", "repeated", "waiting"


@dataclass(frozen=True)
class LetIn:
    """A person's word for a refused batch."""

    batch: str
    by: AcceptedBy


@dataclass(frozen=True)
class Outcome:
    """What became of one landed file."""

    key: str
    kind: str
    status: str
    """accepted, refused, repeated (its content was accepted before) or waiting (it is still being written)."""
    batch: str
    part: str | None = None
    n_rows: int = 0
    """Rows accepted."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Reason -> rows."""
    problems: tuple[Problem, ...] = ()
    can_be_accepted: bool = False
    warnings: tuple[str, ...] = ()


def of_refusal(record: Refusal) -> Outcome:
    """A refused batch, as its record tells it."""
    return Outcome(
        record.key,
        record.kind,
        REFUSED,
        record.batch,
        quarantined=record.quarantined,
        problems=record.problems,
        can_be_accepted=record.can_be_accepted,
    )


@dataclass(frozen=True)
class IngestReport:
    """What became of everything that waited."""

    outcomes: tuple[Outcome, ...]
    still_refused: tuple[Refusal, ...] = ()
    """Refused in an earlier run and unchanged since."""

    @property
    def accepted(self) -> tuple[Outcome, ...]:
        """New parts."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == ACCEPTED)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Batches stopped in this run."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == REFUSED)
