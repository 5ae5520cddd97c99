"""artifacts/finetune: summary.json and history.csv, what a run was made of and how it went."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from recsys.errors import ArtifactMissing
from recsys.storage.atomic import write_whole
from recsys.training.params import FinetuneParams


class TrainingSummary(BaseModel):
    """summary.json. No clock: the same inputs and seed give the same bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    """The pretrained encoder that training started from."""
    trained_on: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the split's train.parquet: which holdout has not been seen."""
    cut: datetime | None
    """Of that split: nothing later was seen; None without times."""
    held_out_by: str | None
    """The rule of a split by item hash (see `evaluation/seen.py`); None of one by time."""
    features: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 over the texts that were learned from."""
    params: FinetuneParams
    ridge_lambda: float
    n_users: int
    n_items: int
    """Learned from."""
    n_held_items: int
    """Validation slice."""
    n_pairs: int
    n_trained_weights: int
    n_steps: int
    best_epoch: int
    """0: nothing was better than the pretrained weights, which are then what is kept."""
    best_step: int
    validation: dict[str, float | None]
    """ndcg@k and recall@k of the best epoch, and of epoch 0 as `pretrained/…`; of the head that was chosen as
    `head/…` and of the encoder alone as `without_head/…`, asked for further items too where the base is as it came;
    `head/<list>/…` of the lists that item weights were chosen by, with them and by profiles alone. None where nobody
    could be asked."""
    width: int
    """Dimensions of a profile."""
    lexical_share: float | None
    """Weight of the words in the head's kernel; None: validation liked the encoder alone best."""
    metric_power: float | None
    """How strongly the head stretches directions that many users need; None: without a head, or it is untaught."""
    words_weight: float | None = None
    """How much words count that the head holds apart; 0: it holds none apart; None: no head, or an older version."""
    ease_lambda: float | None
    """λ of the item weights beside the head; None: none, lists are ordered by profiles alone."""
    popularity_power: float | None
    """How far item weights hold back what many met."""
    lift: float | None
    """How much more a profile's score counts for items that nobody met, where there are item weights."""
    chosen_lambda: float | None
    """λ of the users in the challenger's space; None: ridge_lambda, by which it was trained."""
    encoder_hash: str
    """Of the whole model."""

    def save(self, path: Path) -> None:
        """Write as JSON, whole."""
        write_whole(path, (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "TrainingSummary":
        """Read summary.json.

        Args:
            path: artifacts/finetune/summary.json.

        Returns:
            The summary.

        Raises:
            ArtifactMissing: stage `finetune` has not run here.
        """
        if not path.is_file():
            raise ArtifactMissing(f"{path} does not exist", remedy="run: dvc repro finetune")
        return cls.model_validate_json(path.read_bytes())


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_key(parts: dict[str, Any]) -> str:
    """First 16 hex of the SHA-256 over everything that determines a run."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def history_csv(k: int, rows: Iterable[tuple[object, ...]]) -> str:
    """The curves as a table for `dvc plots`.

    Args:
        k: cutoff of the validation.
        rows: epochs, the fields of `checkpoint.Epoch` in their order; None becomes an empty field.

    Returns:
        CSV text.
    """
    columns = ("epoch", "step", "loss", "learning_rate", f"ndcg@{k}", f"recall@{k}")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([columns, *rows])
    return buffer.getvalue()
