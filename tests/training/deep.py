"""A small encoder whose upper layer matters: that of the tests has random layers which hardly change its input."""

import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

FACTOR = 12.0


def deepened(source: Path, folder: Path) -> Path:
    """Copy an encoder of two layers, with the matrices of the second one many times as large."""
    shutil.copytree(source, folder)
    weights = load_file(source / "model.safetensors")
    for name, value in weights.items():
        if ".layer.1." in name and value.ndim == 2:
            value.mul_(FACTOR)
    save_file(weights, folder / "model.safetensors")
    return folder
