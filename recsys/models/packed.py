"""The files of models: in a cache, part by part, and in one folder, for transport.

A cache holds `encoders/<hash>/`, `heads/<hash>/`, `rankers/<hash>/`, and `models/<hash>.json`, which lists a model's
parts. A laid-out model is one folder: model.json, and a folder `encoder`, `head` or `ranker` for each part. Training
writes this form, and MLflow stores it.
"""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Protocol

from recsys.encoders.reference import REFERENCE as ENCODER_REFERENCE
from recsys.errors import ArtifactMissing, EncoderError
from recsys.heads.reference import REFERENCE as HEAD_REFERENCE
from recsys.models.legacy import as_legacy
from recsys.models.parts import Part, RankerPart
from recsys.models.reference import REFERENCE, ModelReference
from recsys.storage.packed import (
    PackedFile,
    are_whole,
    land,
    staged,
    verify_files,
    verify_sizes,
)

MODELS = "models"


class SavedRanker(Protocol):
    """A learned ranker."""

    def save(self, folder: Path) -> tuple[Path, ...]:
        """Write its files; the same content gives the same bytes."""


def pack_ranker(name: str, ranker: SavedRanker, rankers: Path) -> RankerPart:
    """Write a ranker to the folder of packed rankers, unless a complete copy is there.

    Args:
        name: in RANKERS.
        ranker: learned.
        rankers: folder of packed rankers; it becomes `<rankers>/<hash>/`.

    Returns:
        The part.
    """
    with staged(rankers) as staging:
        files = tuple(PackedFile.of(path) for path in ranker.save(staging))
        recipe = json.dumps([name, [file.sha256 for file in files]])
        named = hashlib.sha256(recipe.encode()).hexdigest()
        land(staging, rankers / named, files)
    return RankerPart(name=name, hash=named, files=files)


def ranker_file(model: ModelReference, cache: Path, name: str) -> Path:
    """Where a file of the ranker lies.

    Args:
        model: which one; its ranker has files.
        cache: folder of packed parts.
        name: of the file.

    Returns:
        The path, whether or not the file is there.

    Raises:
        EncoderError: the ranker has no such file.
    """
    part = model.ranker_part
    if part is None or name not in {file.name for file in part.files}:
        raise EncoderError(f"ranker {model.ranker.name} of model {model.hash[:10]} has no file {name}")
    return part.folder(cache) / name


def verify_model(model: ModelReference, cache: Path) -> None:
    """Check every file of every part against its size and SHA-256.

    Args:
        model: which one.
        cache: folder of packed parts.

    Raises:
        ArtifactMissing: a part is not packed here.
        EncoderError: a file is damaged; names it.
    """
    for part in model.parts:
        verify_files(part.folder(cache), part.files)


def is_whole(model: ModelReference, cache: Path) -> bool:
    """Whether every file of every part exists and is undamaged."""
    return all(are_whole(part.folder(cache), part.files) for part in model.parts)


def remember_model(model: ModelReference, cache: Path) -> None:
    """Record the model's parts in the cache, so that `find_model` finds them by its hash."""
    model.model_copy(update={"registry": None}).save(cache / MODELS / f"{model.hash}.json")


def find_model(model_hash: str, cache: Path) -> ModelReference | None:
    """Find a model by its hash, if all of its parts are in the cache and undamaged.

    Args:
        model_hash: of the whole model.
        cache: folder of packed parts.

    Returns:
        The model without a registry entry, or None.
    """
    if not re.fullmatch("[0-9a-f]{64}", model_hash):
        return None  # a tag in the registry that would be a path elsewhere
    # The second path is that of an encoder without other parts, and of models from before there were parts.
    for path in (cache / MODELS / f"{model_hash}.json", cache / "encoders" / model_hash / ENCODER_REFERENCE):
        try:
            model = ModelReference.load(path)
        except (ArtifactMissing, EncoderError):
            continue  # damaged, or written by a newer Firstlight that shares the cache: it can be downloaded again
        if model.hash == model_hash and is_whole(model, cache):
            return model
    return None


def lay_out(model: ModelReference, cache: Path, into: Path) -> None:
    """Copy a model's files into one folder.

    Args:
        model: which one; packed in `cache`.
        cache: folder of packed parts.
        into: becomes the laid-out model once it is complete; an existing folder is replaced.

    Raises:
        ArtifactMissing: a part is not packed here.
        EncoderError: a file is missing.
    """
    staging = into.with_name(f".{into.name}")
    for old in (into, staging):
        shutil.rmtree(old, ignore_errors=True)
    for part in model.parts:
        folder = part.folder(cache)
        verify_sizes(folder, part.files)
        (staging / part.kind).mkdir(parents=True)
        for file in part.files:
            shutil.copyfile(folder / file.name, staging / part.kind / file.name)
    model.save(staging / REFERENCE)
    staging.rename(into)


def take_in(folder: Path, cache: Path) -> ModelReference:
    """Copy a laid-out model into a cache. Every file is checked before it gets its name there.

    Args:
        folder: of `lay_out`, or a packed encoder from before models had parts.
        cache: folder of packed parts; complete parts are left alone.

    Returns:
        The model.

    Raises:
        ArtifactMissing: there is no model, or a part of it is missing.
        EncoderError: a file is damaged; nothing was copied.
    """
    model = ModelReference.load(folder / REFERENCE)
    places = [(part, folder / part.kind if (folder / REFERENCE).exists() else folder) for part in model.parts]
    for part, place in places:
        verify_files(place, part.files)
    for part, place in places:
        land_part(model, part, {file.name: place / file.name for file in part.files}, cache)
    remember_model(model, cache)
    return model


def land_part(model: ModelReference, part: Part, sources: dict[str, Path], cache: Path) -> None:
    """Copy one part's files, already checked, into a cache, unless a complete copy is there.

    Args:
        model: whose part it is.
        part: which one.
        sources: file name -> path.
        cache: folder of packed parts.
    """
    target = part.folder(cache)
    if are_whole(target, part.files):
        return
    with staged(target.parent) as staging:
        for file in part.files:
            shutil.copyfile(sources[file.name], staging / file.name)
        if (
            part.kind == "encoder" and model.encoder.carries_head
        ):  # λ is not to be lost with models/<hash>.json
            (staging / ENCODER_REFERENCE).write_text(
                json.dumps(as_legacy(model) | {"registry": None}), "utf-8"
            )
        elif part.kind == "encoder":
            model.encoder.save(staging / ENCODER_REFERENCE)
        elif part.kind == "head" and model.head is not None:
            model.head.save(staging / HEAD_REFERENCE)
        land(staging, target, part.files)


def adopt_model(model: ModelReference, folder: Path, cache: Path) -> None:
    """Copy a laid-out model that DVC brought into the cache, if it is the wanted one and the cache lacks it.

    Args:
        model: the wanted model.
        folder: where it may lie.
        cache: folder of packed parts.
    """
    if not folder.is_dir() or all(_has_sizes(part, cache) for part in model.parts):
        return
    try:
        if ModelReference.load(folder / REFERENCE).hash == model.hash:
            take_in(folder, cache)
    except (ArtifactMissing, EncoderError):
        return  # incomplete or damaged: opening the model will raise


def _has_sizes(part: Part, cache: Path) -> bool:
    try:
        verify_sizes(part.folder(cache), part.files)
    except (ArtifactMissing, EncoderError):
        return False
    return True
