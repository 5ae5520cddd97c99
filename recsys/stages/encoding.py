"""Vectors of many texts by one encoder, those that the cache knows out of the cache."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.encoders.reference import EncoderReference
from recsys.encoders.transformer import open_encoder
from recsys.features.text import PREPROCESSING_VERSION, text_hash
from recsys.profiles.cache import VectorCache
from recsys.settings import Settings
from recsys.stages.progress import Progress


def encode_cached(
    reference: EncoderReference,
    texts: Sequence[str],
    settings: Settings,
    at: Artifacts,
    caches: Path | None = None,
) -> NDArray[np.float32]:
    """Encode what the cache does not know, chunk by chunk into it: a killed run goes on after the last full chunk.

    Args:
        reference: an encoder packed in at.encoders.
        texts: N of them, in any order, repeats allowed.
        settings: `encoder.batch_tokens` and `profiles.chunk_texts` count.
        at: whose at.encoders is read.
        caches: folder of the caches that are read and written; None: at.vectors, which all workspaces share.

    Returns:
        float32 [N, D].

    Raises:
        ArtifactMissing: the encoder is not packed here.
    """
    cache = VectorCache((caches or at.vectors) / f"{reference.hash}-{PREPROCESSING_VERSION}", reference.dim)
    hashes = [text_hash(text) for text in texts]
    vectors_ND, is_found_N = cache.read(hashes)
    if is_found_N.all():
        return vectors_ND
    missing = np.flatnonzero(~is_found_N).tolist()
    unknown = {hashes[row]: texts[row] for row in missing}
    encoder, chunk = open_encoder(reference, at.encoders, settings.encoder.batch_tokens), list(unknown)
    made = []
    with Progress("encoding", len(unknown)) as progress:
        for start in range(0, len(chunk), settings.profiles.chunk_texts):
            some = chunk[start : start + settings.profiles.chunk_texts]
            made.append(encoder.encode([unknown[one] for one in some], progress.advance))
            cache.add(some, made[-1])
    cache.merge()
    place = {one: row for row, one in enumerate(unknown)}
    vectors_ND[missing] = np.concatenate(made)[[place[hashes[row]] for row in missing]]
    return vectors_ND
