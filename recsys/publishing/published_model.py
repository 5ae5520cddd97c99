"""Bring the newest release's model and profiles into a workspace."""

import json
import shutil
from pathlib import Path

from recsys.artifacts import Artifacts
from recsys.errors import EncoderError
from recsys.models.packed import is_whole, land_part, remember_model
from recsys.models.reference import ModelReference
from recsys.profiles.items import NAME, segment_of
from recsys.publishing.entries import File, ReleasedSegment
from recsys.publishing.object_files import ObjectFiles
from recsys.publishing.store import ReleaseStore
from recsys.storage.atomic import whole_file, write_whole
from recsys.storage.protocol import Storage

CHAMPION = "champion"


def bring_model(storage: Storage, at: Artifacts) -> ModelReference | None:
    """Make the newest release's model this workspace's champion, whatever version has the alias in the registry.

    The files of its parts are downloaded from the store; undamaged files are left alone. Under a hold the newest
    release is the one that waits, since the next one follows it.

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
    if not path.exists() or not _names(path, model):  # DVC would rerun the stages that read a rewritten file
        model.save(path)
    return model


def _names(path: Path, model: ModelReference) -> bool:
    """Whether a model.json names this model; False for a damaged one."""
    try:
        return ModelReference.load(path) == model
    except EncoderError:
        return False


def _bring_parts(model: ModelReference, files: ObjectFiles, at: Artifacts) -> None:
    """Download all parts. All files are checked before the first one gets its name."""
    sources = {
        part: {file.name: files.path(File(**file.model_dump())) for file in part.files}
        for part in model.parts
    }
    for part, found in sources.items():
        land_part(model, part, found, at.cache)


def bring_profiles(storage: Storage, at: Artifacts, model: ModelReference) -> int:
    """Bring the newest release's profiles, indexes, details and terms, if this model would make the same profiles.

    A workspace for a new ranker or λ then finds every segment, and neither encodes, projects nor counts words. Existing
    files are left alone. A segment's rows are written last, so a segment with rows is complete.

    Args:
        storage: where releases live.
        at: the workspace.
        model: its champion.

    Returns:
        Number of the release's segments; 0 where it has other profiles, or where there is no release.

    Raises:
        ReleaseError: the manifest or a file is missing or damaged.
        StorageError: the store cannot be reached.
    """
    store = ReleaseStore(storage)
    pointer = store.pointer()
    head = store.manifest(pointer.current.head) if pointer else None
    if head is None or head.model.profiles_hash != model.profiles_hash:
        return 0
    files = ObjectFiles(storage, at.cache / "releases")
    segments = [one for one in head.segments if NAME.fullmatch(one.name)]  # stage `profiles` makes no others
    for released in segments:
        segment = segment_of(at.profiles(CHAMPION), released.name)
        _bring_file(files, released.vectors, segment.vectors_path)
        _bring_file(files, released.rows, segment.rows_path)
        if released.index.file:
            _bring_file(files, released.index.file, at.index / released.index.file.name)
        for file in (released.details, released.terms, released.facts):
            if file:
                _bring_file(files, file, at.details / file.name)
    entries = [_index_entry(released) for released in segments]
    if not (at.index / "index.json").exists():
        write_whole(at.index / "index.json", (json.dumps(entries, indent=1) + "\n").encode())
    return len(segments)


def _bring_file(files: ObjectFiles, file: File, place: Path) -> None:
    if not place.exists():
        with whole_file(place) as temporary:
            shutil.copyfile(files.path(file), temporary)


def _index_entry(released: ReleasedSegment) -> dict[str, object]:
    """An entry as stage `index` writes it."""
    index = released.index
    return {
        "segment": released.name,
        "kind": index.kind,
        "file": index.file.name if index.file else None,
        "n": released.n_items,
        "recall": index.recall,
    }
