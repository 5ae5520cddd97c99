"""Vectors of texts by way of the store: what one worker has encoded, no other encodes again.

Pairs of files of the vector cache never change and are named by their content (`profiles/cache.py`), so only names are
compared. A worker that merges small pairs takes them out of the store again, once the merged one is there.
"""

from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.errors import ArtifactMissing, EncoderError, StorageError
from recsys.models.encoding import vectors_of
from recsys.models.reference import ModelReference
from recsys.profiles.cache import KEYS, VECTORS
from recsys.storage.atomic import write_whole
from recsys.storage.protocol import Storage

PREFIX = "vectors"
SEEN = ".seen"
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
    for folder in sorted({vectors_of(model, at).folder for model in _models(at)}):
        one = _exchange(storage, folder)
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


def _exchange(storage: Storage, folder: Path) -> tuple[int, int]:
    prefix = f"{PREFIX}/{folder.name}/"
    there = {stored.key.removeprefix(prefix) for stored in storage.list(prefix)}
    there = {name.removesuffix(KEYS) for name in there if name.endswith(KEYS)}
    here, seen = _names(folder), _seen(folder)
    wanted, missing = sorted(there - here - seen), sorted(here - there)
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
    for name in sorted((there & seen) - here):  # merged here
        for ending in (KEYS, VECTORS):
            storage.delete(f"{prefix}{name}{ending}")
    if now := here | there:
        write_whole(folder / SEEN, "".join(f"{name}\n" for name in sorted(now)).encode())
    return len(wanted), len(missing)


def _names(folder: Path) -> set[str]:
    return {path.name.removesuffix(KEYS) for path in folder.glob(f"*{KEYS}")}


def _seen(folder: Path) -> set[str]:
    try:
        return set((folder / SEEN).read_text("utf-8").split())
    except FileNotFoundError:
        return set()
