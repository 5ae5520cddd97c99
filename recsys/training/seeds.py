"""artifacts/finetune/seeds: the challenger trained again with other seeds, to see whether its result was luck."""

from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing
from recsys.storage.atomic import write_document

SEEDS = "seeds"
"""Folder in artifacts/finetune. It has a folder for each further seed, with the challenger's files except model/."""
LIST = "seeds.json"


class TrainedSeed(BaseModel):
    """One training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    model_hash: str = Field(
        pattern="^[0-9a-f]{64}$", validation_alias=AliasChoices("model_hash", "encoder_hash")
    )
    """Hash of the trained model. Older files call it `encoder_hash`."""


class TrainedSeeds(BaseModel):
    """seeds.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[TrainedSeed, ...] = Field(min_length=1)
    """The first is the challenger. The others are judged beside it, and never promoted."""

    @property
    def siblings(self) -> tuple[TrainedSeed, ...]:
        """All but the challenger."""
        return self.seeds[1:]

    def save(self, finetune: Path) -> None:
        """Write seeds.json atomically."""
        write_document(finetune / SEEDS / LIST, self, indent=2)

    @classmethod
    def load(cls, finetune: Path) -> "TrainedSeeds":
        """Read seeds.json.

        Args:
            finetune: artifacts/finetune.

        Returns:
            The seeds.

        Raises:
            ArtifactMissing: stage `finetune` has not run here, or has not finished.
        """
        path = finetune / SEEDS / LIST
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro finetune")
        return cls.model_validate_json(path.read_bytes())


def folder_of(finetune: Path, seed: int) -> Path:
    """Folder of a sibling: packed/, summary.json, history.csv."""
    return finetune / SEEDS / str(seed)
