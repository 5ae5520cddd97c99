"""artifacts/teacher.json: the encoder whose vectors a student learns (objective `distill`).

`fetch-champion` writes it, unless it brings a published model (`--published`): arrivals train nothing. Stage `finetune`
depends on it in dvc.yaml. For other objectives the file names nobody: then the stage does not run again when the
champion changes.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from recsys.encoders.reference import EncoderReference
from recsys.errors import ArtifactMissing, ConfigError
from recsys.evaluation.provenance import TrainedOn, contamination
from recsys.storage.atomic import write_whole


class Teacher(BaseModel):
    """The champion's encoder, and what the champion was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderReference | None = None
    """None: the workspace trains no student."""
    trained: TrainedOn | None = None

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON. A file with the same content is left alone."""
        write_whole(path, (self.model_dump_json(indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "Teacher":
        """Read what `save` wrote.

        Args:
            path: artifacts/teacher.json.

        Returns:
            The teacher.

        Raises:
            ArtifactMissing: it is not there, or damaged.
        """
        remedy = "run: recsys fetch-champion"
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{path} does not exist", remedy=remedy) from error
        except ValueError as error:
            raise ArtifactMissing(f"{path} is damaged: {error}", remedy=remedy) from error


def require_teacher(found: Teacher, holdout: TrainedOn) -> EncoderReference:
    """The encoder to learn from, if it cannot carry answers of the holdout into the student.

    Args:
        found: the workspace's teacher.
        holdout: what a model trained on this holdout's training side would have.

    Returns:
        The encoder.

    Raises:
        ArtifactMissing: the champion was fetched before the objective became `distill`.
        ConfigError: the champion may have been trained on test data of this holdout, or its encoder includes a head.
    """
    if found.encoder is None or found.trained is None:
        raise ArtifactMissing(
            "artifacts/teacher.json names no teacher: the champion was fetched for another objective",
            remedy="run: recsys fetch-champion",
        )
    if reason := contamination(found.trained, holdout):
        raise ConfigError(
            f"finetune: a student would learn test data from the champion: {reason}",
            remedy="distil on a holdout whose cut is not before the champion's, or promote another champion",
        )
    if found.encoder.carries_head:
        raise ConfigError(
            "finetune: the champion is of a version in which head and encoder were one, a student cannot learn it",
            remedy="train and promote a champion with this version, then distil it",
        )
    return found.encoder
