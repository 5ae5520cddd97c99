"""Provenance: what a model was trained on, and whether this may include the test data of a holdout."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from recsys.errors import ArtifactMissing
from recsys.storage.atomic import write_document
from recsys.storage.checksums import sha256_of_file

if TYPE_CHECKING:
    from recsys.catalogue.params import SplitParams
    from recsys.catalogue.split import SplitSummary


class TrainedOn(BaseModel):
    """The interactions that a model was trained on; empty for a model that was not trained."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # summary.json has more keys

    model_hash: str | None = Field(None, validation_alias=AliasChoices("model_hash", "encoder_hash"))
    """Hash of the model; None where this describes a holdout. Older files call it `encoder_hash`."""
    trained_on: str | None = None
    """SHA-256 (hex) of the train.parquet of its split."""
    trained_until: AwareDatetime | None = Field(None, validation_alias=AliasChoices("trained_until", "cut"))
    """The cut of that split: all training data is older. None for a split by item hash, or where it is unknown."""
    held_out_by: str | None = None
    """The rule of a split by item hash. The same rule holds out the same items and pairs, however much is added."""

    def save(self, path: Path) -> None:
        """Write it atomically, as JSON."""
        write_document(path, self)

    @classmethod
    def load(cls, path: Path) -> "TrainedOn":
        """Read what `save` wrote, or a finetune summary.

        Args:
            path: the file.

        Returns:
            What the model was trained on.

        Raises:
            ArtifactMissing: it does not exist, or is damaged.
        """
        remedy = "run: dvc repro finetune (challenger), or recsys fetch-champion"
        try:
            return cls.model_validate(json.loads(path.read_bytes()))
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{path} does not exist", remedy=remedy) from error
        except (ValueError, ValidationError) as error:
            raise ArtifactMissing(f"{path} is damaged: {error}", remedy=remedy) from error


def identity(split: Path) -> str:
    """Identify a split's training side by the SHA-256 (hex) of its pairs.

    Args:
        split: artifacts/split.

    Returns:
        The value to compare with `TrainedOn.trained_on`.

    Raises:
        ArtifactMissing: stage `split` has not run.
    """
    try:
        return sha256_of_file(split / "train.parquet")
    except FileNotFoundError as error:
        raise ArtifactMissing(f"{split} holds no split", remedy="run: dvc repro split") from error


def holdout_of(split: Path, summary: "SplitSummary", params: "SplitParams") -> TrainedOn:
    """Describe a split: what a model trained on its training side was trained on.

    Args:
        split: artifacts/split.
        summary: of the split.
        params: section `split`.

    Returns:
        The description, without a model.

    Raises:
        ArtifactMissing: stage `split` has not run.
    """
    return TrainedOn(
        trained_on=identity(split),
        trained_until=summary.cut,
        held_out_by=hash_rule(summary.by, params.seed, params.test_share),
    )


def hash_rule(by: str, seed: int, test_share: float) -> str | None:
    """Name the rule of a split by item hash; None for a split by time. The same name holds out the same items."""
    return f"item-hash {seed} {test_share:g}" if by == "item-hash" else None


def contamination(trained: TrainedOn, holdout: TrainedOn) -> str | None:
    """Why a model may have been trained on a holdout's test data.

    Args:
        trained: what the model was trained on.
        holdout: what a model trained on this holdout's training side would have.

    Returns:
        The reason, or None where this is impossible.
    """
    if trained.trained_on in (None, holdout.trained_on):
        return None
    if _is_before(trained.trained_until, holdout.trained_until):
        return None
    if holdout.held_out_by is not None and trained.held_out_by == holdout.held_out_by:
        return None
    until = (
        f"until {trained.trained_until:%Y-%m-%d %H:%M} UTC" if trained.trained_until else "of unknown time"
    )
    cut = (
        f"asks from {holdout.trained_until:%Y-%m-%d %H:%M} UTC on" if holdout.trained_until else "has no cut"
    )
    return (
        f"it was trained on another split ({str(trained.trained_on)[:10]}, interactions {until}); this holdout "
        f"({str(holdout.trained_on)[:10]}) {cut}"
    )


def _is_before(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one <= other
