"""Where an encoder comes from: a folder, a package that carries a model, or a hub id. Only safetensors are taken."""

import json
import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from recsys.errors import EncoderError

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
# What sentence-transformers may chain and we do as well; anything else would be left out silently.
KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}


def find_source(source: str) -> Path:
    """The folder with config.json, tokenizer.json and safetensors that `encoder.source` names.

    Args:
        source: a folder, else an installed package, else a hub id (fetched unless HF_HUB_OFFLINE is set).

    Returns:
        The folder.

    Raises:
        EncoderError: there is none, or it lacks a file; says which.
    """
    if Path(source).is_dir():
        return _complete(source, [Path(source), *sorted(p for p in Path(source).iterdir() if p.is_dir())])
    try:
        listed = files(source) or []
    except (PackageNotFoundError, ValueError):
        return _complete(source, [_from_hub(source)])
    return _complete(source, [Path(str(f.locate())).parent for f in listed if f.name == CONFIG])


def source_files(folder: Path) -> tuple[Path, ...]:
    """The files that decide about the vectors: configuration, tokenizer, weights."""
    index = folder / WEIGHTS_INDEX
    weights = [WEIGHTS]
    if not (folder / WEIGHTS).exists() and index.exists():
        shards = json.loads(index.read_text("utf-8"))["weight_map"].values()
        weights = [WEIGHTS_INDEX, *sorted(set(shards))]
    return tuple(folder / name for name in (CONFIG, TOKENIZER, *weights))


def _complete(source: str, folders: list[Path]) -> Path:
    models = [folder for folder in folders if _is_model(folder)]
    if not models:
        raise EncoderError(
            f"encoder.source {source!r} holds no {CONFIG} of a transformer",
            remedy="name a folder made by save_pretrained, a package that carries one, or a hub id",
        )
    folder = models[0]
    for path in source_files(folder):
        if not path.is_file():
            raise EncoderError(
                f"encoder.source {source!r}: {path} is missing", remedy=_REMEDIES.get(path.name, "")
            )
    _check_modules(source, folder)
    return folder


_REMEDIES = {
    WEIGHTS: "pickled weights (.bin) are never loaded: save them again with "
    "AutoModel.from_pretrained(…).save_pretrained(folder, safe_serialization=True)",
    TOKENIZER: "save a fast tokenizer with AutoTokenizer.from_pretrained(…).save_pretrained(folder)",
}


def _is_model(folder: Path) -> bool:
    try:
        return "model_type" in json.loads((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError):
        return False


def _check_modules(source: str, folder: Path) -> None:
    """Refuse a sentence-transformers chain that would not be followed."""
    for chain in (folder / "modules.json", folder.parent / "modules.json"):
        if chain.is_file():
            kinds = {module["type"].rpartition(".")[2] for module in json.loads(chain.read_text("utf-8"))}
            if further := kinds - KNOWN_MODULES:
                raise EncoderError(
                    f"encoder.source {source!r} has modules that are not supported: {', '.join(sorted(further))}",
                    remedy="choose a model that ends in pooling and normalisation",
                )
            return


def _from_hub(source: str) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [CONFIG, TOKENIZER, "*.safetensors", WEIGHTS_INDEX, "modules.json"]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        raise EncoderError(
            f"encoder.source {source!r} is no folder, no installed package, and not in the hub's cache: {error}",
            remedy="HF_HUB_OFFLINE is set: unset it to fetch a hub id, or name a folder or package"
            if offline
            else "check the name and the network, or name a folder or package",
        ) from error
