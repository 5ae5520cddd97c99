"""The published encoder in a workspace: that of the newest release, whatever the registry's alias says meanwhile."""

import shutil
from pathlib import Path
from uuid import uuid4

from recsys.artifacts import Artifacts
from recsys.encoders.reference import REFERENCE, EncoderReference, verify_packed
from recsys.errors import ArtifactMissing, EncoderError
from recsys.publishing.objects import ObjectFiles
from recsys.publishing.release import File
from recsys.publishing.store import ReleaseStore
from recsys.storage.protocol import Storage

CHAMPION = "champion"


def bring_encoder(storage: Storage, at: Artifacts) -> EncoderReference | None:
    """Make the encoder of the newest release this workspace's champion, its packed files brought from the store.

    Under a hold the newest release is the one that waits: what is built next follows it. What is here and whole is left
    alone.

    Args:
        storage: where releases live.
        at: the workspace.

    Returns:
        The encoder, or None where nothing has been published yet.

    Raises:
        ReleaseError: the pointer, the manifest or an encoder's file is missing or damaged.
        StorageError: the store cannot be reached.
    """
    store = ReleaseStore(storage)
    pointer = store.pointer()
    if pointer is None:
        return None
    reference = store.manifest(pointer.current.head).encoder
    if not _is_whole(reference, at.encoders):
        _bring_files(reference, ObjectFiles(storage, at.cache / "releases"), at.encoders)
    path = at.encoder_reference(CHAMPION)
    if (
        not path.exists() or EncoderReference.load(path) != reference
    ):  # written anew, DVC would run its readers
        reference.save(path)
    return reference


def _is_whole(reference: EncoderReference, encoders: Path) -> bool:
    try:
        verify_packed(reference, encoders)
    except (EncoderError, ArtifactMissing):
        return False
    return True


def _bring_files(reference: EncoderReference, files: ObjectFiles, encoders: Path) -> None:
    """Checked before they get their name, so no reader meets a half-brought encoder."""
    encoders.mkdir(parents=True, exist_ok=True)
    staging = encoders / f".tmp-{uuid4().hex}"
    staging.mkdir()
    try:
        for file in reference.files:
            shutil.copyfile(files.path(File(**file.model_dump())), staging / file.name)
        reference.model_copy(update={"registry": None}).save(staging / REFERENCE)
        shutil.rmtree(encoders / reference.hash, ignore_errors=True)  # damaged, or it would have been whole
        staging.rename(encoders / reference.hash)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
