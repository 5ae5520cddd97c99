"""An encoder with a kernel head: the packed transformer's vectors and the text's words become one profile."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from recsys.encoders.encoder import Encoder
from recsys.encoders.head import KernelHead
from recsys.encoders.reference import (
    REFERENCE,
    STAGING,
    EncoderReference,
    PackedFile,
    land_packed,
    verify_sizes,
)
from recsys.errors import EncoderError

FUSED_VERSION = 2
"""Part of every fused encoder's hash. Code that turns a head into profiles must not change under it: raise it and
`HEAD_VERSION`, and let `KernelHead.load` refuse the heads that would now answer otherwise."""


class Companion(Protocol):
    """What was learned beside a head, such as a ranker."""

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write its files; the same content gives the same bytes."""


class FusedEncoder:
    """Implements `Encoder`: base encoder, then head."""

    def __init__(self, base: Encoder, head: KernelHead, reference: EncoderReference) -> None:
        self.hash = reference.hash
        self.dim = reference.dim
        self._base = base
        self._head = head

    def encode(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """See `Encoder.encode`."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        return self._head.profiles(texts, self._base.encode(texts, on_progress))

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """See `Encoder.count_tokens`."""
        return self._base.count_tokens(texts)


def pack_fused(
    base: EncoderReference,
    head: KernelHead,
    encoders: Path,
    ridge_lambda: float | None = None,
    beside: Sequence[Companion] = (),
) -> EncoderReference:
    """Lay a base encoder and its head into one folder of packed encoders.

    Args:
        base: packed in `encoders`, without a head.
        head: learned over that encoder's vectors.
        encoders: folder of packed encoders.
        ridge_lambda: λ of ridge users that was chosen with the head; None: that of params.yaml holds.
        beside: what goes with it, wherever the encoder goes.

    Returns:
        The reference of all together, without a registry entry; its hash covers base, head, λ and what is beside.

    Raises:
        EncoderError: the head was learned over vectors of another width.
        ArtifactMissing: the base is not packed here.
    """
    if head.base_dim != base.dim:
        raise EncoderError(
            f"the head is for vectors of width {head.base_dim}, the encoder's have {base.dim}",
            remedy="run: dvc repro finetune",
        )
    verify_sizes(base, encoders)
    staging = encoders / f"{STAGING}{uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        written = [path for one in (head, *beside) for path in one.save(staging)]
        learned = tuple(PackedFile.of(path) for path in written)
        recipe = json.dumps([base.hash, [file.sha256 for file in learned], ridge_lambda, FUSED_VERSION])
        named = hashlib.sha256(recipe.encode()).hexdigest()
        files = (*base.files, *learned)
        made_of = {"hash": named, "dim": head.dim, "files": files, "registry": None}
        made_of |= {"ridge_lambda": ridge_lambda, "lexical_width": head.lexical_width}
        reference = base.model_copy(update=made_of)
        for file in base.files:
            _link(encoders / base.hash / file.name, staging / file.name)
        reference.save(staging / REFERENCE)
        land_packed(reference, staging, encoders)
        return reference
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """The same file under another name, where the file system can; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
