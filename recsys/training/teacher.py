"""artifacts/teacher.json: the champion as training reads it: a student's teacher, or what a training continues.

`fetch-champion` writes it, unless it brings a published model (`--published`): arrivals train nothing. Stage `finetune`
depends on it in dvc.yaml. Where section `finetune` wants no champion the file names nobody: then the stage does not run
again when the champion changes.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from recsys.encoders.reference import EncoderReference
from recsys.errors import ArtifactMissing, ConfigError
from recsys.evaluation.provenance import TrainedOn, contamination
from recsys.storage.atomic import write_document
from recsys.storage.packed import PackedFile


class Teacher(BaseModel):
    """The champion's encoder, and what the champion was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: EncoderReference | None = None
    """None: the workspace's training reads no champion."""
    trained: TrainedOn | None = None
    weights: tuple[PackedFile, ...] = ()
    """Files to continue training from, in `Artifacts.weights` under the encoder's hash; empty where none are wanted, or
    where its version in the registry has none."""

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON. A file with the same content is left alone."""
        write_document(path, self, exclude=() if self.weights else {"weights"})

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


def require_champion(found: Teacher) -> tuple[EncoderReference, TrainedOn]:
    """The champion's encoder, and what the champion was trained on.

    Args:
        found: what `fetch-champion` left.

    Returns:
        Both.

    Raises:
        ArtifactMissing: it was fetched before section `finetune` wanted one.
    """
    if found.encoder is None or found.trained is None:
        raise ArtifactMissing(
            "artifacts/teacher.json names no champion: it was fetched for another section finetune",
            remedy="run: recsys fetch-champion",
        )
    return found.encoder, found.trained


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
    encoder, trained = require_champion(found)
    if reason := contamination(trained, holdout):
        raise ConfigError(
            f"finetune: a student would learn test data from the champion: {reason}",
            remedy="distil on a holdout whose cut is not before the champion's, or promote another champion",
        )
    if encoder.carries_head:
        raise ConfigError(
            "finetune: the champion is of a version in which head and encoder were one, a student cannot learn it",
            remedy="train and promote a champion with this version, then distil it",
        )
    return encoder
