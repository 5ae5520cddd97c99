"""Checkpoints, from which a killed run continues: weights, optimizer, last profiles and best weights, as safetensors.

`checkpoint.safetensors` holds what a step changes, and a record (JSON, in the file's header). It is one file, renamed
when complete, so weights and record always belong together. It names two further files that change once an epoch.
Everything random is a function of seed and step (see plans.py), so no generator needs to be stored.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from recsys.storage.atomic import whole_file

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv."""

    epoch: int
    """0: before any step."""
    step: int
    loss: float | None
    """Mean over the epoch's batches; None before any."""
    learning_rate: float
    """Learning rate of the epoch's last step."""
    ndcg: float | None
    """ndcg@k on the validation slice; None where it has no user."""
    recall: float | None
    cosine: float | None = None
    """Mean cosine with the champion's vectors on the validation slice; None where training reads no champion."""
    older: float | None = None
    """ndcg@k of older items, which are learned from, where training continues from the champion or is pulled towards
    it. It falls where training forgets."""

    def score(self, objective: str) -> float | None:
        """The score that decides which epoch is the best, higher is better; None where nothing could be validated."""
        return self.cosine if objective == "distill" else self.ndcg


@dataclass(frozen=True)
class Record:
    """The content of a checkpoint besides its tensors."""

    step: int = 0
    """Steps of the optimizer so far."""
    epochs: tuple[Epoch, ...] = ()
    """Validated epochs; the first one is the pretrained weights."""
    losses: tuple[float, ...] = ()
    """Losses of the batches since the last validation."""
    profiles: str = ""
    """File of the last profiles."""
    best: str = ""
    """File of the best weights."""
    best_epoch: int = 0
    stopped: bool = False
    """Training has ended."""
    memory: tuple[int, bool] | None = None
    """Tokens per pack and whether gradients are cached, where these were changed after running out of memory."""
    scaler: dict[str, float] | None = None
    """State of the loss scaler for float16."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run, in one folder."""

    folder: Path
    writes: bool = True
    """Whether anything is written. Only the first of several processes writes."""

    def save(self, record: Record, weights: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        """Write the checkpoint, then delete files that it does not name.

        Args:
            record: names files that were written before.
            weights: the trained ones.
            optimizer: see `optimizer_tensors`.
        """
        if not self.writes:
            return
        tensors = {f"weight:{name}": value for name, value in weights.items()}
        tensors |= {f"optimizer:{name}": value for name, value in optimizer.items()}
        _write(self.folder / CHECKPOINT, tensors, {"record": json.dumps(asdict(record))})
        for path in self.folder.iterdir():
            if path.name not in {CHECKPOINT, record.profiles, record.best}:
                path.unlink()

    def load(self) -> tuple[Record, dict[str, Tensor], dict[str, Tensor]] | None:
        """Read the last checkpoint: record, weights, optimizer; None where there is none or it is damaged."""
        try:
            with safe_open(self.folder / CHECKPOINT, framework="pt") as file:
                values = json.loads(file.metadata()["record"])
            tensors = load_file(self.folder / CHECKPOINT)
        except (FileNotFoundError, SafetensorError):
            return None
        values["epochs"] = tuple(Epoch(**one) for one in values["epochs"])
        memory = values["memory"] and tuple(values["memory"])
        record = Record(**(values | {"losses": tuple(values["losses"]), "memory": memory}))
        if not all((self.folder / name).is_file() for name in (record.profiles, record.best)):
            return None
        return record, _named(tensors, "weight:"), _named(tensors, "optimizer:")

    def epochs(self) -> tuple[Epoch, ...]:
        """The epochs of the last checkpoint; none where there is no checkpoint or it is damaged."""
        try:
            with safe_open(self.folder / CHECKPOINT, framework="pt") as file:
                return tuple(Epoch(**one) for one in json.loads(file.metadata()["record"])["epochs"])
        except (FileNotFoundError, SafetensorError):
            return ()

    def save_profiles(self, step: int, vectors_ID: NDArray[np.float32]) -> str:
        """Write the profiles of an epoch; return the file's name."""
        name = f"profiles-{step}.npy"
        if not self.writes:
            return name
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / name) as temporary, temporary.open("wb") as file:
            np.save(file, vectors_ID)
        return name

    def load_profiles(self, name: str) -> NDArray[np.float32]:
        """Read what `save_profiles` wrote."""
        vectors_ID: NDArray[np.float32] = np.load(self.folder / name)
        return vectors_ID

    def save_best(self, step: int, weights: dict[str, Tensor]) -> str:
        """Write the best weights so far; return the file's name."""
        name = f"best-{step}.safetensors"
        if self.writes:
            _write(self.folder / name, weights, {})
        return name

    def load_best(self, name: str) -> dict[str, Tensor]:
        """Read what `save_best` wrote."""
        weights: dict[str, Tensor] = load_file(self.folder / name)
        return weights


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()}, temporary, metadata
        )


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
