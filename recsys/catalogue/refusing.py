"""Make the record of a refusal: of a file that could not be read, or of a batch that failed its checks."""

from recsys.catalogue.judging import Judged
from recsys.catalogue.landing import Landed, as_text
from recsys.catalogue.refusals import Problem, Refusal, batch_id
from recsys.catalogue.verdict_words import found_value, remedy_of
from recsys.errors import RecsysError

_MEND_FILE = "correct the file and land it again"


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
    message = as_text(str(error).partition("\n  remedy: ")[0])
    problem = Problem(check=check or type(error).__name__, message=message, remedy=error.remedy)
    record = _refusal(landed, digest, (problem,), can_be_accepted=False)
    return record.model_copy(update={"is_retried": is_retried})


def refusal_of_judged(landed: Landed, digest: str, judged: Judged) -> Refusal:
    """The record of a batch that failed batch-level checks.

    Args:
        landed: the file.
        digest: SHA-256 of its bytes.
        judged: its verdicts.

    Returns:
        A record. A person may overrule it if every failed check is a matter of judgement.
    """
    can = all(verdict.expected.can_be_accepted for verdict in judged.failed)
    problems = tuple(
        Problem(
            check=verdict.expected.reason,
            message=f"{landed.key}: expected {verdict.expected.requirement}; "
            f"found {found_value(judged.batch, judged.measured.metrics, verdict.expected)}",
            # The remedy of a check that can be overruled is to let the batch in. The other failures forbid that.
            remedy=remedy_of(judged.batch, verdict.expected)
            if can or not verdict.expected.can_be_accepted
            else _MEND_FILE,
        )
        for verdict in judged.failed
    )
    record = _refusal(landed, digest, problems, can_be_accepted=can)
    found = {
        "n_rows": judged.batch.n_landed,
        "quarantined": judged.quarantined,
        "reasons": judged.reasons(),
        "notes": judged.notes,
    }
    return record.model_copy(update=found)


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
