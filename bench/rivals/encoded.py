"""Vectors of the frozen encoder of params.yaml, from the cache that the house itself keeps."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.encoders.transformer import open_encoder
from recsys.features.text import PREPROCESSING_VERSION, text_hash
from recsys.profiles.cache import VectorCache
from recsys.settings import Settings


def frozen_vectors(root: Path, texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Encode texts, float32 [I, D]; those that were ever encoded are read.

    Args:
        root: the workspace whose params.yaml names the encoder, and whose var/cache is used.
        texts: one per item.

    Returns:
        Unit rows.
    """
    at = Artifacts(root)
    exact = Settings.load(at.params).encoder.model_copy(update={"precision": "float32"})
    reference = pack_encoder(exact, at.encoders, ())
    cache = VectorCache(at.vectors / f"{reference.hash}-{PREPROCESSING_VERSION}", reference.dim)
    hashes = [text_hash(text) for text in texts]
    vectors, found = cache.read(hashes)
    if not found.all():
        unknown = {hashes[row]: texts[row] for row in np.flatnonzero(~found)}
        made = open_encoder(reference, at.encoders, exact.batch_tokens).encode(list(unknown.values()))
        cache.add(list(unknown), made)
        vectors, found = cache.read(hashes)
    return vectors
