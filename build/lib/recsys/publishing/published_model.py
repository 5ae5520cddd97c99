"""The published model in a workspace: that of the newest release, whatever the registry's alias says meanwhile."""

from recsys.artifacts import Artifacts
from recsys.models.packed import is_whole, land_part, remember_model
from recsys.models.reference import ModelReference
from recsys.publishing.objects import ObjectFiles
from recsys.publishing.release import File
from recsys.publishing.store import ReleaseStore
from recsys.storage.protocol import Storage

CHAMPION = "champion"


def bring_model(storage: Storage, at: Artifacts) -> ModelReference | None:
    """Make the model of the newest release this workspace's champion, the files of its parts brought from the store.

    Under a hold the newest release is the one that waits: what is built next follows it. What is here and whole is left
    alone.

    Args:
        storage: where releases live.
        at: the workspace.

    Returns:
        The model, or None where nothing has been published yet.

    Raises:
        ReleaseError: the pointer, the manifest or a file of a part is missing or damaged.
        StorageError: the store cannot be reached.
    """
    store = ReleaseStore(storage)
    pointer = store.pointer()
    if pointer is None:
        return None
    model = store.manifest(pointer.current.head).model
    if not is_whole(model, at.cache):
        _bring_parts(model, ObjectFiles(storage, at.cache / "releases"), at)
    remember_model(model, at.cache)
    path = at.model_reference(CHAMPION)
    if not path.exists() or ModelReference.load(path) != model:  # written anew, DVC would run its readers
        model.save(path)
    return model


def _bring_parts(model: ModelReference, files: ObjectFiles, at: Artifacts) -> None:
    """All files of all parts are checked before the first one gets its name."""
    sources = {
        part: {file.name: files.path(File(**file.model_dump())) for file in part.files}
        for part in model.parts
    }
    for part, found in sources.items():
        land_part(model, part, found, at.cache)
