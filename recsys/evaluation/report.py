"""The report: what each model reached on each slice, how sure the differences are, and what leaks were found."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing
from recsys.evaluation.intervals import Interval
from recsys.storage.atomic import write_whole

CHAMPION = "champion"


class Finding(BaseModel):
    """One kind of leak that was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    """Name of the check, such as cold-item-in-training."""
    n: int = Field(ge=1)
    """How often."""
    words: str
    """What is wrong, for a person."""
    examples: tuple[str, ...]
    """Item ids or file names; never users."""


class ModelScores(BaseModel):
    """One model on one slice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, float | None]
    """`recall@20`, …, means over users; `coverage@20`, `gini@20`, `worst_decile_recall@20` over items. None where
    a metric has no value."""
    recall_by_k: dict[int, float]
    """Cutoff -> mean recall."""


class SliceReport(BaseModel):
    """All models on one slice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    n_users: int
    n_candidates: int
    n_positives: int
    models: dict[str, ModelScores]
    """`champion` and the floors; empty without users."""
    margins: dict[str, dict[str, Interval]]
    """Floor -> metric -> champion minus floor, paired over users."""


class Report(BaseModel):
    """What stage `evaluate` leaves and the gate reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    encoder_hash: str
    ridge_lambda: float
    k: int
    split_by: str
    cut: datetime | None
    n_train_pairs: int
    left_out: dict[str, int]
    """Reason -> items that are not judged."""
    slices: tuple[SliceReport, ...]
    leaks: tuple[Finding, ...]

    def slice(self, name: str) -> SliceReport | None:
        """The slice of that name, where there is one."""
        return next((one for one in self.slices if one.name == name), None)

    def flat_metrics(self) -> dict[str, float | None]:
        """`cold/recall@20` of the champion, and `floors/tfidf_centroid/cold/recall@20` of the floors."""
        return {
            f"{'' if model == CHAMPION else f'floors/{model}/'}{part.name}/{metric}": value
            for part in self.slices
            for model, scores in part.models.items()
            for metric, value in scores.metrics.items()
        }

    def save(self, path: Path) -> None:
        """Write as JSON, whole."""
        write_whole(path, (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "Report":
        """Read report.json.

        Args:
            path: where it lies.

        Returns:
            The report.

        Raises:
            ArtifactMissing: stage `evaluate` has not run.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro evaluate")
        return cls.model_validate_json(path.read_text())
