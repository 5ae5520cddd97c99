"""Vectors and profiles of many texts; what the vector cache knows is not encoded again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.features.text import PREPROCESSING_VERSION, text_hash
from recsys.models.opening import open_head, open_vectors
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.settings import Settings
from recsys.stages.progress import Progress


def vectors_of(model: ModelReference, at: Artifacts, caches: Path | None = None) -> VectorCache:
    """The vector cache of a model's encoder: no head, λ or ranker is part of its key.

    Args:
        model: whose encoder.
        at: the workspace.
        caches: folder of vector caches; None: at.vectors, which all workspaces share.

    Returns:
        The cache.
    """
    folder = f"{model.encoder.hash}-{PREPROCESSING_VERSION}"
    return VectorCache((caches or at.vectors) / folder, model.encoder.dim)


def encode_cached(
    model: ModelReference,
    texts: Sequence[str],
    settings: Settings,
    at: Artifacts,
    caches: Path | None = None,
) -> NDArray[np.float32]:
    """Profiles of texts by a model whose parts are packed in at.cache; only vectors are cached.

    Args:
        model: encoder, and head where it has one.
        texts: N of them, in any order, repeats allowed.
        settings: `encoder.batch_tokens` and `profiles.chunk_texts` count.
        at: the workspace.
        caches: folder of the vector caches that are read and written; None: at.vectors.

    Returns:
        float32 [N, D], unit rows.

    Raises:
        ArtifactMissing: the model is not packed here.
    """
    vectors_NL = _encoded(model, texts, settings, at, caches)
    head = open_head(model, at.cache)
    return vectors_NL if head is None else head.profiles(texts, vectors_NL)


def _encoded(
    model: ModelReference, texts: Sequence[str], settings: Settings, at: Artifacts, caches: Path | None
) -> NDArray[np.float32]:
    """Encode what the cache does not know, chunk by chunk into it: a killed run goes on after the last full chunk."""
    cache = vectors_of(model, at, caches)
    hashes = [text_hash(text) for text in texts]
    vectors_NL, is_found_N = cache.read(hashes)
    if is_found_N.all():
        return vectors_NL
    missing = np.flatnonzero(~is_found_N).tolist()
    unknown = {hashes[row]: texts[row] for row in missing}
    encoder, chunk = open_vectors(model, at.cache, settings.encoder.batch_tokens), list(unknown)
    made = []
    with Progress("encoding", len(unknown)) as progress:
        for start in range(0, len(chunk), settings.profiles.chunk_texts):
            some = chunk[start : start + settings.profiles.chunk_texts]
            made.append(encoder.encode([unknown[one] for one in some], progress.advance))
            cache.add(some, made[-1])
    cache.merge()
    place = {one: row for row, one in enumerate(unknown)}
    vectors_NL[missing] = np.concatenate(made)[[place[hashes[row]] for row in missing]]
    return vectors_NL
