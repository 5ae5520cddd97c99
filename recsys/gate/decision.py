"""The decision: the result of every rule, and whether the gate is open."""

from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing
from recsys.evaluation.report import CHAMPION, Report
from recsys.gate.margins import judged_model
from recsys.gate.params import GateParams
from recsys.gate.rules import rules_for
from recsys.storage.atomic import write_document


class Check(BaseModel):
    """The result of one rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str
    requirement: str = Field(validation_alias=AliasChoices("requirement", "asks"))
    """The rule in words. Format 1 calls it `asks`."""
    reason: str | None
    """Why the rule refuses; None where it passes."""


class Decision(BaseModel):
    """The verdict. Files of format 1 are read too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 2
    open: bool
    reasons: tuple[str, ...]
    """Why the gate is closed; empty where it is open."""
    role: str = CHAMPION
    """The judged model: the challenger where there is one, else the champion."""
    model_hash: str = Field(validation_alias=AliasChoices("model_hash", "encoder_hash"))
    """Hash of the judged model. The decision is about this model only. Format 1 calls it `encoder_hash`."""
    champion_hash: str | None = None
    """Hash of the champion it was compared with; None in decisions from before there were challengers."""
    holdout: str | None = None
    """SHA-256 of the split's training side."""
    checks: tuple[Check, ...]

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON."""
        write_document(path, self, indent=2)

    @classmethod
    def load(cls, path: Path) -> "Decision":
        """Read decision.json.

        Args:
            path: the file.

        Returns:
            The decision.

        Raises:
            ArtifactMissing: stage `gate` has not run.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro gate")
        return cls.model_validate_json(path.read_text())


def decide(report: Report, params: GateParams) -> Decision:
    """Apply every rule. Rules that compare with the champion apply only where there is a challenger.

    Args:
        report: from stage `evaluate`.
        params: section `gate`.

    Returns:
        The decision: open if no rule refuses, else closed with all reasons.
    """
    role = judged_model(report)
    checks = tuple(
        Check(
            rule=rule.__name__,
            requirement=(rule.__doc__ or "").strip().partition("\n")[0],
            reason=rule(report, params),
        )
        for rule in rules_for(report)
    )
    reasons = tuple(check.reason for check in checks if check.reason is not None)
    return Decision(
        open=not reasons,
        reasons=reasons,
        role=role,
        model_hash=report.challenger_hash or report.model_hash,
        champion_hash=report.model_hash,
        holdout=report.holdout.trained_on,
        checks=checks,
    )
