"""Pack a head: write its files, and those of records beside it, to a folder that is named by their hash."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from recsys.encoders.reference import EncoderReference
from recsys.errors import EncoderError
from recsys.heads.head_file import write_head
from recsys.heads.kernel_head import KernelHead
from recsys.heads.reference import HEAD_RECIPE, REFERENCE, HeadReference
from recsys.storage.packed import PackedFile, land, staged


class Companion(Protocol):
    """A record that is packed beside a head."""

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write its files; the same content gives the same bytes."""


def pack_head(
    encoder: EncoderReference, head: KernelHead, heads: Path, beside: Sequence[Companion] = ()
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
    with staged(heads) as staging:
        written = [*write_head(head, staging), *(path for one in beside for path in one.save(staging))]
        files = tuple(PackedFile.of(path) for path in written)
        recipe = json.dumps([encoder.hash, [file.sha256 for file in files], HEAD_RECIPE])
        named = hashlib.sha256(recipe.encode()).hexdigest()
        reference = HeadReference(hash=named, dim=head.dim, lexical_width=head.lexical_width, files=files)
        reference.save(staging / REFERENCE)
        land(staging, heads / named, files)
        return reference
