"""Exchange vectors of texts through the store, so that no worker encodes what another has encoded.

Pairs of files of the vector cache never change and are named by their content (`profiles/cache.py`), so only names are
compared. A worker that merges small pairs takes them out of the store again, once the merged one is there.
"""

import io
from pathlib import Path

import numpy as np

from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing, EncoderError, StorageError
from recsys.models.encoding import vectors_of
from recsys.models.reference import ModelReference
from recsys.profiles.cache import HASH_BYTES, KEYS, VECTORS, VectorCache
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

PREFIX = "vectors"
KNOWN = ".seen"
"""File of the cache's folder: names that this machine had or found in the store when it looked last."""
ROLES = ("champion", "challenger")


def exchange_vectors(storage: Storage, at: Artifacts) -> tuple[int, int]:
    """Bring vectors that this machine lacks, and store those that the store lacks, of a workspace's encoders.

    A loss of files costs time, never a result: what another worker takes out meanwhile is passed over.

    Args:
        storage: RECSYS_STATE.
        at: the workspace; its models say which encoders.

    Returns:
        Numbers of pairs that were brought and stored.

    Raises:
        StorageError: the store is out of reach.
    """
    brought = stored = 0
    caches = {cache.folder: cache for cache in (vectors_of(model, at) for model in _models(at))}
    for folder in sorted(caches):
        one = _exchange(storage, caches[folder])
        brought, stored = brought + one[0], stored + one[1]
    return brought, stored


def _models(at: Artifacts) -> list[ModelReference]:
    found = []
    for role in ROLES:
        try:
            found.append(ModelReference.load(at.model_reference(role)))
        except (ArtifactMissing, EncoderError):
            continue  # there is none yet
    return found


def _exchange(storage: Storage, cache: VectorCache) -> tuple[int, int]:
    folder, prefix = cache.folder, f"{PREFIX}/{cache.folder.name}/"
    there = {stored.key.removeprefix(prefix) for stored in storage.list(prefix)}
    there = {name.removesuffix(KEYS) for name in there if name.endswith(KEYS)}
    here, known = _names(folder), _known(folder)
    # What this machine had is merged into a larger pair, or was lost: then it is brought again.
    merged = {name for name in (there & known) - here if _is_merged(storage, f"{prefix}{name}{KEYS}", cache)}
    wanted = sorted(there - here - merged)
    missing = sorted(here - there - (known if there else set()))  # what others merged stays out
    for name in wanted:
        try:
            for ending in (VECTORS, KEYS):  # in this order a pair with keys is whole
                storage.fetch(f"{prefix}{name}{ending}", folder / f"{name}{ending}")
        except StorageError:
            if storage.find(f"{prefix}{name}{KEYS}") is not None:
                raise
    for name in missing:
        for ending in (VECTORS, KEYS):
            storage.write(f"{prefix}{name}{ending}", folder / f"{name}{ending}")
    for name in sorted(merged):
        for ending in (KEYS, VECTORS):
            storage.delete(f"{prefix}{name}{ending}")
    if now := here | there:
        write_whole(folder / KNOWN, "".join(f"{name}\n" for name in sorted(now)).encode())
    return len(wanted), len(missing)


def _is_merged(storage: Storage, key: str, cache: VectorCache) -> bool:
    """Whether all vectors of a stored pair lie in this machine's pairs."""
    found = storage.read_tagged(key)
    if found is None:
        return True  # another worker has taken it out
    try:
        keys = np.load(io.BytesIO(found[0]))
        return bool(cache.holds([row[:HASH_BYTES].tobytes().hex() for row in keys]).all())
    except (ValueError, IndexError, EOFError):
        return True  # damaged: nobody can use it


def _names(folder: Path) -> set[str]:
    return {path.name.removesuffix(KEYS) for path in folder.glob(f"*{KEYS}")}


def _known(folder: Path) -> set[str]:
    try:
        return set((folder / KNOWN).read_text("utf-8").split())
    except FileNotFoundError:
        return set()
