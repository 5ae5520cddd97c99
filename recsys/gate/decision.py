"""Report -> Decision. RULES are functions that return a reason to refuse, or None."""

from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from recsys.errors import ArtifactMissing
from recsys.evaluation.report import CHAMPION, Report, SliceReport
from recsys.gate.params import GateParams
from recsys.storage.atomic import write_whole

JUDGED_SLICE = "cold"


class Check(BaseModel):
    """What one rule said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    asks: str
    """What the rule wants, in words."""
    reason: str | None
    """Why it refuses; None where it is content."""


class Decision(BaseModel):
    """The verdict."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    open: bool
    reasons: tuple[str, ...]
    """Why not; empty where the gate is open."""
    encoder_hash: str
    checks: tuple[Check, ...]

    def save(self, path: Path) -> None:
        """Write as JSON, whole."""
        write_whole(path, (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "Decision":
        """Read decision.json.

        Args:
            path: where it lies.

        Returns:
            The verdict.

        Raises:
            ArtifactMissing: stage `gate` has not run.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro gate")
        return cls.model_validate_json(path.read_text())


def no_leaks(report: Report, params: GateParams) -> str | None:
    """The holdout knows none of its answers."""
    if not report.leaks:
        return None
    kinds = ", ".join(f"{one.kind} ({one.n})" for one in report.leaks)
    return f"the holdout leaks: {kinds}; its figures mean nothing"


def enough_users(report: Report, params: GateParams) -> str | None:
    """Enough test users met a cold item."""
    n_users = _cold(report).n_users
    if n_users >= params.min_test_users:
        return None
    return f"only {n_users} test users met a cold item, fewer than min_test_users = {params.min_test_users}"


def beats_every_floor(report: Report, params: GateParams) -> str | None:
    """On cold items the champion beats every floor, surely enough."""
    margins = _cold(report).margins
    if not margins:
        return "nothing was compared with the floors on cold items"
    lost = []
    for floor, by_metric in margins.items():
        margin = by_metric.get(params.floor_metric)
        if margin is None:
            known = ", ".join(by_metric)
            return f"gate.floor_metric {params.floor_metric!r} is not in the report, which has {known}"
        if not margin.low >= params.min_margin_over_floor:
            lost.append(f"{floor} ({margin})")
    if not lost:
        return None
    return (
        f"{params.floor_metric} on cold items does not surely beat {' and '.join(lost)}: the lower end must reach "
        f"{params.min_margin_over_floor:+g}"
    )


def covers_enough(report: Report, params: GateParams) -> str | None:
    """Enough of the cold candidates appear in somebody's list."""
    scores = _cold(report).models.get(CHAMPION)
    share = scores.metrics.get(f"coverage@{report.k}") if scores else None
    if share is None:
        return "coverage of the cold items is unknown"
    if share >= params.min_coverage:
        return None
    return f"only {share:.1%} of the cold items appear in a list, less than min_coverage = {params.min_coverage:.1%}"


RULES: tuple[Callable[[Report, GateParams], str | None], ...] = (
    no_leaks,
    enough_users,
    beats_every_floor,
    covers_enough,
)


def decide(report: Report, params: GateParams) -> Decision:
    """Ask every rule.

    Args:
        report: from stage `evaluate`.
        params: section `gate`.

    Returns:
        Open where no rule refuses; otherwise every reason.
    """
    checks = tuple(
        Check(
            rule=rule.__name__,
            asks=(rule.__doc__ or "").strip().partition("\n")[0],
            reason=rule(report, params),
        )
        for rule in RULES
    )
    reasons = tuple(check.reason for check in checks if check.reason is not None)
    return Decision(open=not reasons, reasons=reasons, encoder_hash=report.encoder_hash, checks=checks)


def _cold(report: Report) -> SliceReport:
    found = report.slice(JUDGED_SLICE)
    empty = SliceReport(name=JUDGED_SLICE, n_users=0, n_candidates=0, n_positives=0, models={}, margins={})
    return found or empty
