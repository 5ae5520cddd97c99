"""The reference of a head: the part of a model that makes profiles of vectors and words, and its packed files."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field

from recsys.encoders.reference import MAX_DIM, EncoderReference, read_reference
from recsys.errors import EncoderError
from recsys.storage.atomic import write_whole
from recsys.storage.names import Sha256
from recsys.storage.packed import STAGING, PackedFile, land, remove_abandoned

if TYPE_CHECKING:
    from recsys.heads.kernel_head import KernelHead

REFERENCE = "reference.json"
"""In a packed head's folder."""
HEAD_RECIPE = 3
"""Part of every head's hash. Before a change of code that changes profiles, raise it and `HEAD_VERSION`, and let
`KernelHead.load` refuse the heads whose profiles would change."""


class HeadReference(BaseModel):
    """One head over one encoder: same hash, same profiles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: Sha256
    """Hash over the encoder's hash and the head's files. Profiles are cached under it."""
    dim: int = Field(gt=0, le=MAX_DIM)
    """Width of a profile."""
    lexical_width: int = Field(default=0, ge=0)
    """Number of leading dimensions that ridge regression leaves out, see `recsys.profiles.users`. The first completes
    unit length, and users are 0 there. The others, if any, hold separate words, and users are plain sums there."""
    files: tuple[PackedFile, ...]
    """head.npz and head.json; also first_light.json for a head of first light."""

    @classmethod
    def load(cls, path: Path) -> "HeadReference":
        """Read the reference in a packed head's folder.

        Args:
            path: <cache>/heads/<hash>/reference.json.

        Returns:
            The reference.

        Raises:
            ArtifactMissing: it is not there.
            EncoderError: it is damaged.
        """
        return read_reference(cls, path, lambda plain: plain)

    def save(self, path: Path) -> None:
        """Write it atomically. A file with the same content is left alone."""
        write_whole(path, (self.model_dump_json(indent=1) + "\n").encode())


class Companion(Protocol):
    """A record that is packed beside a head."""

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write its files; the same content gives the same bytes."""


def pack_head(
    encoder: EncoderReference, head: "KernelHead", heads: Path, beside: Sequence[Companion] = ()
) -> HeadReference:
    """Write a head to the folder of packed heads, unless a complete copy is there.

    Args:
        encoder: the head was learned over its vectors.
        head: learned.
        heads: folder of packed heads; it becomes `<heads>/<hash>/`.
        beside: records that are packed beside it.

    Returns:
        The reference.

    Raises:
        EncoderError: the head was learned over vectors of another width.
    """
    if head.base_dim != encoder.dim:
        raise EncoderError(
            f"the head is for vectors of width {head.base_dim}, the encoder's have {encoder.dim}",
            remedy="run: dvc repro finetune",
        )
    remove_abandoned(heads)
    staging = heads / f"{STAGING}{uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        written = [path for one in (head, *beside) for path in one.save(staging)]
        files = tuple(PackedFile.of(path) for path in written)
        recipe = json.dumps([encoder.hash, [file.sha256 for file in files], HEAD_RECIPE])
        named = hashlib.sha256(recipe.encode()).hexdigest()
        reference = HeadReference(hash=named, dim=head.dim, lexical_width=head.lexical_width, files=files)
        reference.save(staging / REFERENCE)
        land(staging, heads / named, files)
        return reference
    finally:
        shutil.rmtree(staging, ignore_errors=True)
