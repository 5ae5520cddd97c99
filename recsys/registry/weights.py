"""Weights of trained versions in MLflow, from which a later training continues (`finetune.start: champion`).

A packed encoder cannot be trained: it is a graph for OpenVINO, often in int8. So `register` also logs the weights that
training left.
"""

from pathlib import Path

from recsys.encoders.source import find_source, source_files
from recsys.models.reference import ModelReference
from recsys.registry.runs import connect
from recsys.storage.packed import PackedFile, land, staged

WEIGHTS = "weights"
"""Folder among the artifacts of a version's run: config.json, tokenizer.json and safetensors."""


def fetch_weights(uri: str, champion: ModelReference, weights: Path) -> tuple[PackedFile, ...]:
    """Bring the champion's weights into a cache, unless they are there.

    Args:
        uri: MLflow's address.
        champion: with its entry in the registry.
        weights: the cache, a folder per encoder hash.

    Returns:
        The files, in the folder of the champion's encoder; empty where its version has none.

    Raises:
        RegistryUnreachable: MLflow is out of reach or refuses.
        EncoderError: the files are no encoder.
    """
    target = weights / champion.encoder.hash
    entry = champion.registry
    if not target.is_dir() and entry is not None and entry.run_id is not None:
        with staged(weights) as staging:
            _download(uri, entry.run_id, staging)
            if (staging / WEIGHTS).is_dir():
                found = find_source(str(staging / WEIGHTS))
                land(found, target, [PackedFile.of(path) for path in source_files(found)])
    return tuple(PackedFile.of(path) for path in source_files(target)) if target.is_dir() else ()


def _download(uri: str, run_id: str, into: Path) -> None:
    """Nothing happens where the run has no weights."""
    with connect(uri) as client:
        if WEIGHTS in {found.path for found in client.list_artifacts(run_id)}:
            client.download_artifacts(run_id, WEIGHTS, str(into))
