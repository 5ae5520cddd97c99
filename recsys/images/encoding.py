"""Vectors of fetched pictures, in the vector cache of the view `image`."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from recsys.encoders.image import ImageEncoderReference, open_image_encoder
from recsys.encoders.reference import REFERENCE
from recsys.encoders.runtime import Device, device_for
from recsys.errors import ArtifactMissing, EncoderError, ImageBroken
from recsys.images.pictures import open_picture
from recsys.images.view import ITEMS, VECTORS, vectors_of_view
from recsys.progress import Progress

WRITTEN_AT_ONCE = 256
"""Vectors that go into the cache together: a killed run loses at most so many."""


def encode_pictures(
    pictures: Path,
    view: Path,
    encoders: Path,
    reference: ImageEncoderReference,
    hashes: Iterable[str],
    device: Device = "cpu",
) -> dict[str, ImageBroken]:
    """Make missing vectors. Vectors of another encoder are removed first.

    Args:
        pictures: folder of pictures, each under the SHA-256 of its bytes.
        view: artifacts/images/view.
        encoders: folder of packed encoders.
        reference: which of them.
        hashes: of the pictures that are wanted.
        device: where they are encoded, as `profiles.device`.

    Returns:
        Hash -> what is wrong, of pictures that are not on disk what was fetched.

    Raises:
        ConfigError: cuda is wanted and there is none.
    """
    _make_room(view, reference)
    cache = vectors_of_view(view, reference.dim)
    wanted = sorted(set(hashes))
    missing = [one for one, is_there in zip(wanted, cache.holds(wanted), strict=True) if not is_there]
    damaged: dict[str, ImageBroken] = {}
    if not missing:
        return damaged
    encoder = open_image_encoder(reference, encoders, device=device_for(device, "float32"))
    with Progress("images: encoding", len(missing)) as progress:
        for start in range(0, len(missing), WRITTEN_AT_ONCE):
            made = {}
            for sha256 in missing[start : start + WRITTEN_AT_ONCE]:
                try:
                    content = _read(pictures / sha256)
                    made[sha256] = encoder.encode([open_picture(content)])[0]
                except ImageBroken as broken:
                    damaged[sha256] = broken
                progress.advance(1)
            if made:
                cache.add(list(made), np.stack(list(made.values())))
    cache.merge()
    return damaged


def _make_room(view: Path, reference: ImageEncoderReference) -> None:
    """Remove vectors of another encoder, and record the new encoder. After a kill, the same call continues."""
    try:
        is_same = ImageEncoderReference.load(view / REFERENCE).hash == reference.hash
    except (ArtifactMissing, EncoderError):
        is_same = False
    if not is_same:
        (view / ITEMS).unlink(missing_ok=True)
        (view / REFERENCE).unlink(missing_ok=True)
        shutil.rmtree(view / VECTORS, ignore_errors=True)
        reference.save(view / REFERENCE)


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ImageBroken("lost", f"{path} is gone") from error
    if hashlib.sha256(content).hexdigest() != path.name:
        raise ImageBroken("lost", f"{path} is not what was fetched")
    return content
