"""Inputs of a tower: token ids, or the activations of its frozen layers, computed once and memory-mapped."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import StorageError
from recsys.storage.atomic import whole_file
from recsys.storage.checksums import key_of
from recsys.training.texts import Tokens
from recsys.training.tower import Tower

# Shape suffixes: B texts, L tokens, D dimension, T tokens of all texts.
ENCODED_AT_ONCE = 8192
"""Tokens per batch when activations are computed."""
FREE_SHARE = 0.9
"""Activations may take this share of the free disk."""


class Inputs(Protocol):
    """Source of batches."""

    @property
    def tokens(self) -> Tokens:
        """The tokens of all items."""

    @property
    def device(self) -> str:
        """The device of the batches."""

    def block(self, places_BL: NDArray[np.int64]) -> Tensor:
        """Inputs of the tower, [B, L] or [B, L, D], for texts of one length, given the places of their tokens."""


@dataclass(frozen=True)
class TokenInputs:
    """Token ids."""

    tokens: Tokens
    device: str

    def block(self, places_BL: NDArray[np.int64]) -> Tensor:
        """ids_BL."""
        return torch.from_numpy(self.tokens.ids_T[places_BL]).to(self.device)


@dataclass(frozen=True)
class FrozenInputs:
    """Activations below the cut, [T, D] in the order of the tokens, memory-mapped."""

    tokens: Tokens
    hidden_TD: NDArray[np.float32]
    device: str

    def block(self, places_BL: NDArray[np.int64]) -> Tensor:
        """hidden_BLD."""
        return torch.from_numpy(self.hidden_TD[places_BL]).to(self.device)


def frozen_key(source_key: str, cut: int, tokens: Tokens) -> str:
    """Key of the activations: 16 hex digits of the SHA-256 over everything they depend on.

    Args:
        source_key: of the pretrained weights.
        cut: number of frozen layers.
        tokens: the texts.

    Returns:
        The key.
    """
    texts = hashlib.sha256(tokens.ids_T.tobytes() + tokens.starts_N.tobytes()).hexdigest()
    return key_of([source_key, cut, texts])


def freeze(tower: Tower, tokens: Tokens, folder: Path, key: str, device: str) -> FrozenInputs:
    """Compute the activations of the frozen layers, unless they exist, and map them.

    Args:
        tower: one with a cut.
        tokens: the texts.
        folder: holds `frozen-<key>.npy`; files of other keys are deleted.
        key: see `frozen_key`.
        device: of the batches.

    Returns:
        The inputs for the upper part of the tower.

    Raises:
        StorageError: they would not fit on the disk; gives their size.
    """
    path = folder / f"frozen-{key}.npy"
    if not path.is_file():
        _compute(tower, tokens, path, device)
    for stray in folder.glob("frozen-*.npy"):
        if stray != path:
            stray.unlink()
    return FrozenInputs(tokens, np.load(path, mmap_mode="r"), device)


def _compute(tower: Tower, tokens: Tokens, path: Path, device: str) -> None:
    shape = (len(tokens.ids_T), int(tower.model.config.hidden_size))
    path.parent.mkdir(parents=True, exist_ok=True)
    n_bytes, free = 4 * shape[0] * shape[1], shutil.disk_usage(path.parent).free
    if n_bytes > FREE_SHARE * free:
        raise StorageError(
            f"the frozen layers' activations take {n_bytes / 2**30:.1f} GiB, {path.parent} has {free / 2**30:.1f} free",
            remedy="free the disk, lower encoder.max_tokens, or set finetune.layers to all or lora",
        )
    tower.eval()
    with whole_file(path) as temporary:
        made = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
        words = tokens.words(np.arange(len(tokens.starts_N)))
        with torch.inference_mode():
            for pack in words.packs(ENCODED_AT_ONCE):
                for texts in pack:
                    places_BL = words.block(texts)
                    ids_BL = torch.from_numpy(tokens.ids_T[places_BL]).to(device)
                    made[places_BL] = tower.lower(ids_BL).cpu().numpy()
        made.flush()
        del made
