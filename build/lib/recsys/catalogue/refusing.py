"""The record of what is refused: a file that could not be read, or a batch that its judges stopped."""

from recsys.catalogue.judging import Judged, found_value, remedy_of
from recsys.catalogue.landing import Landed, as_text
from recsys.catalogue.refusals import Problem, Refusal, batch_id
from recsys.errors import RecsysError

_MEND_FILE = "mend the file and land it again"


def refusal_of_error(
    landed: Landed,
    digest: str | None,
    error: RecsysError,
    check: str | None = None,
    *,
    is_retried: bool = False,
) -> Refusal:
    """The record of a file that could not be read, or not judged.

    Args:
        landed: the file.
        digest: SHA-256 of its bytes, or None where they were not read.
        error: what happened.
        check: its name; None for that of the error's class.
        is_retried: whether every run tries again.

    Returns:
        A record that nobody can overrule.
    """
    says = as_text(str(error).partition("\n  remedy: ")[0])
    problem = Problem(check=check or type(error).__name__, says=says, remedy=error.remedy)
    record = _refusal(landed, digest, (problem,), can_be_accepted=False)
    return record.model_copy(update={"is_retried": is_retried})


def refusal_of_judged(landed: Landed, digest: str, judged: Judged) -> Refusal:
    """The record of a batch that does not hold as a whole.

    Args:
        landed: the file.
        digest: SHA-256 of its bytes.
        judged: its verdicts.

    Returns:
        A record that a person may overrule where all that failed is an opinion.
    """
    can = all(verdict.expected.is_opinion for verdict in judged.failed)
    problems = tuple(
        Problem(
            check=verdict.expected.reason,
            says=f"{landed.key}: expected {verdict.expected.says}; found {found_value(judged, verdict.expected)}",
            # The remedy of an opinion is to let the batch in, which the other failures forbid.
            remedy=remedy_of(judged, verdict.expected)
            if can or not verdict.expected.is_opinion
            else _MEND_FILE,
        )
        for verdict in judged.failed
    )
    record = _refusal(landed, digest, problems, can_be_accepted=can)
    told = {
        "n_rows": judged.batch.n_landed,
        "quarantined": judged.quarantined,
        "reasons": judged.reasons(),
        "notes": judged.notes,
    }
    return record.model_copy(update=told)


def _refusal(
    landed: Landed, digest: str | None, problems: tuple[Problem, ...], *, can_be_accepted: bool
) -> Refusal:
    return Refusal(
        batch=batch_id(landed, digest),
        kind=landed.kind,
        key=landed.shown,
        version=landed.version,
        size=landed.size,
        arrived_at=landed.modified,
        problems=problems,
        can_be_accepted=can_be_accepted,
    )
