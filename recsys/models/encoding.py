"""Vectors and profiles of many texts. A text whose vector is cached is not encoded again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recsys.artifacts import Artifacts
from recsys.encoders.runtime import Device
from recsys.features.text import NO_TEXT, PREPROCESSING_VERSION, text_hash
from recsys.features.views import NO_VIEWS, Views
from recsys.models.opening import open_head, open_vectors
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.progress import Progress


def vectors_of(model: ModelReference, at: Artifacts, caches: Path | None = None) -> VectorCache:
    """The vector cache of a model's encoder. Its key holds the encoder alone: no head, λ or ranker.

    Args:
        model: a model; only its encoder matters.
        at: the workspace.
        caches: folder of vector caches; None: at.vectors, which all workspaces share.

    Returns:
        The cache.
    """
    folder = f"{model.encoder.hash}-{PREPROCESSING_VERSION}"
    return VectorCache((caches or at.vectors) / folder, model.encoder.dim)


def read_vectors(cache: VectorCache, hashes: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read vectors of texts from a cache.

    Args:
        cache: of an encoder.
        hashes: of N texts.

    Returns:
        float32 [N, L], and which of them exist; a text of nothing has a vector of zeros, which always exists.
    """
    vectors_NL, is_found_N = cache.read(hashes)
    is_empty_N = np.array([one == NO_TEXT for one in hashes], np.bool_)
    vectors_NL[is_empty_N], is_found_N[is_empty_N] = 0, True
    return vectors_NL, is_found_N


def encode_cached(
    model: ModelReference,
    texts: Sequence[str],
    at: Artifacts,
    batch_tokens: int,
    chunk_texts: int,
    caches: Path | None = None,
    views: Views = NO_VIEWS,
    device: Device = "cpu",
) -> NDArray[np.float32]:
    """Make the profiles of texts with a model that is packed in at.cache. Vectors are cached, profiles are not.

    Args:
        model: its encoder and head are used.
        texts: N texts in any order; repeats are allowed. An empty one has a vector of zeros.
        at: the workspace.
        batch_tokens: tokens that the encoder takes at once.
        chunk_texts: texts after which vectors are written to the cache.
        caches: folder of the vector caches that are read and written; None: at.vectors.
        views: further evidence about the items of the texts, for a head that joins it.
        device: where texts are encoded, as `profiles.device`.

    Returns:
        float32 [N, D], unit rows.

    Raises:
        ArtifactMissing: the model is not packed here.
        ConfigError: cuda is wanted and there is none.
    """
    vectors_NL = _encoded(model, texts, at, batch_tokens, chunk_texts, caches, device)
    head = open_head(model, at.cache)
    return vectors_NL if head is None else head.profiles(texts, vectors_NL, views)


def _encoded(
    model: ModelReference,
    texts: Sequence[str],
    at: Artifacts,
    batch_tokens: int,
    chunk_texts: int,
    caches: Path | None,
    device: Device,
) -> NDArray[np.float32]:
    """Encode texts that the cache lacks, chunk by chunk into it. A killed run continues after the last full chunk."""
    cache = vectors_of(model, at, caches)
    hashes = [text_hash(text) for text in texts]
    vectors_NL, is_found_N = read_vectors(cache, hashes)
    if is_found_N.all():
        return vectors_NL
    missing = np.flatnonzero(~is_found_N).tolist()
    unknown = {hashes[row]: texts[row] for row in missing}
    encoder, chunk = open_vectors(model, at.cache, batch_tokens, device=device), list(unknown)
    made = []
    with Progress("encoding", len(unknown)) as progress:
        for start in range(0, len(chunk), chunk_texts):
            some = chunk[start : start + chunk_texts]
            made.append(encoder.encode([unknown[one] for one in some], progress.advance))
            cache.add(some, made[-1])
    cache.merge()
    place = {one: row for row, one in enumerate(unknown)}
    vectors_NL[missing] = np.concatenate(made)[[place[hashes[row]] for row in missing]]
    return vectors_NL
