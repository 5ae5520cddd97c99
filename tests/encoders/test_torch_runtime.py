"""Packed models run by torch: on processors here, which is the same code as on a CUDA device (`test_on_gpu`)."""

import numpy as np
import pytest
import torch

from recsys.encoders import runtime
from recsys.encoders.pack import pack_encoder
from recsys.encoders.runtime import device_for, has_cuda, load_openvino
from recsys.encoders.torch_runtime import TorchRunner, exact_kernels, filled_up
from recsys.encoders.transformer import open_encoder
from recsys.errors import ConfigError, EncoderError
from tests.encoders.models import encoder_params
from tests.encoders.torch_encoders import (
    KINDS,
    OF_16_BITS,
    OF_PROCESSORS,
    POOL,
    compare_batches,
    compare_pictures,
    compare_with_processors,
    packed,
)

HERE = "cpu:0"
"""A device of torch: cpu alone stands for OpenVINO."""
ov = load_openvino()
ops = ov.opset13


@pytest.mark.parametrize("kind", KINDS)
def test_texts_get_the_vectors_of_processors_whatever_their_batch(kind, tmp_path, encoders):
    reference = packed(kind, tmp_path, encoders)
    compare_with_processors(reference, encoders, HERE, OF_PROCESSORS)
    compare_batches(reference, encoders, HERE)


@pytest.mark.parametrize("precision", OF_16_BITS)
def test_16_bits_are_a_precision_with_a_hash_of_its_own_and_files_of_half_the_size(
    precision, tmp_path, encoders, tiny, tiny_reference
):
    reference = packed("bert", tmp_path, encoders, precision=precision)
    assert reference.hash != tiny_reference.hash and reference.needs_new_readers
    half, whole = ((encoders / one.hash / "model.bin").stat().st_size for one in (reference, tiny_reference))
    assert half < 0.6 * whole
    compare_with_processors(reference, encoders, HERE, OF_16_BITS[precision])
    compare_batches(reference, encoders, HERE)
    exact = open_encoder(tiny_reference, encoders, 128)
    rounded = open_encoder(reference, encoders, 128)
    cosines = (exact.encode(POOL) * rounded.encode(POOL)).sum(axis=1)
    assert (cosines > 0.999).all() and not np.array_equal(exact.encode(POOL), rounded.encode(POOL))


def test_products_of_16_bits_are_computed_in_16_bits(tmp_path, encoders):
    reference = packed("bert", tmp_path, encoders, precision="bfloat16")
    path, ids = encoders / reference.hash / "model.xml", np.arange(4, 14)[None]
    found = [TorchRunner(path, HERE, precision)(ids) for precision in ("bfloat16", "float32")]
    assert 1e-5 < np.abs(found[0] - found[1]).max() < OF_16_BITS["bfloat16"]


def test_pictures_get_the_vectors_of_processors(tmp_path):
    compare_pictures(tmp_path, HERE)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_read_back_from_the_device_or_mixed_with_what_lies_elsewhere(kind, tmp_path, encoders):
    """Tensors on torch's device `meta` have a shape and no numbers: reading one is an error, and so is mixing."""
    reference = packed(kind, tmp_path, encoders)
    runner = TorchRunner(encoders / reference.hash / "model.xml", "meta", "float32")
    found = runner._run(torch.full((3, 7), 5, device="meta"))
    assert found.device.type == "meta" and found.shape == (3, reference.dim)


def test_a_batch_is_filled_up_to_the_rows_that_every_batch_of_its_length_has():
    ids = np.arange(6).reshape(2, 3)
    assert filled_up(ids, 12).tolist() == [[0, 1, 2], [3, 4, 5], [3, 4, 5], [3, 4, 5]]
    for tokens in (6, 7, 2):
        np.testing.assert_array_equal(filled_up(ids, tokens), ids)


def test_kernels_are_exact_while_it_runs_and_as_before_afterwards():
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = True
    try:
        with exact_kernels():
            assert not matmul.allow_tf32 and torch.backends.cudnn.deterministic
        assert matmul.allow_tf32 and not torch.backends.cudnn.deterministic
    finally:
        matmul.allow_tf32 = before


A = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)


def hundreds(values):
    """Whole numbers, not below 0: of others OpenVINO's processors round quotients towards 0, whatever a model says."""
    return ops.convert(ops.abs(ops.multiply(values, ops.constant(np.float32(100)))), "i64")


OPERATIONS = {
    "subtract": lambda x: ops.subtract(x, ops.constant(np.float32([1, 2, 3, 4]))),
    "divide": lambda x: ops.divide(x, ops.constant(np.float32([1, 2, 3, 4]))),
    "divide whole numbers": lambda x: ops.convert(ops.divide(hundreds(x), ops.constant(np.int64(7))), "f32"),
    "minimum": lambda x: ops.minimum(x, ops.constant(np.float32(0.3))),
    "negative": ops.negative,
    "abs": ops.abs,
    "exp": ops.exp,
    "erf": ops.erf,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
    "relu": ops.relu,
    "swish": lambda x: ops.swish(x, ops.constant(np.float32(1.5))),
    "gelu tanh": lambda x: ops.gelu(x, "tanh"),
    "softmax": lambda x: ops.softmax(x, 1),
    "sum": lambda x: ops.reduce_sum(x, ops.constant([0, 2]), keep_dims=False),
    "max": lambda x: ops.reduce_max(x, ops.constant([-1]), keep_dims=True),
    "product": lambda x: ops.reduce_prod(x, ops.constant([0, 1]), keep_dims=True),
    "mvn outside": lambda x: ops.mvn(x, ops.constant([2]), True, 1e-3, "outside_sqrt"),
    "mvn mean alone": lambda x: ops.mvn(x, ops.constant([1, 2]), False, 1e-3, "inside_sqrt"),
    "greater": lambda x: ops.convert(ops.greater(x, ops.constant(np.float32(0))), "f32"),
    "not": lambda x: ops.convert(ops.logical_not(ops.less(x, ops.constant(np.float32(0)))), "f32"),
    "select": lambda x: ops.select(ops.greater_equal(x, ops.constant(np.float32(0))), x, ops.negative(x)),
    "last row": lambda x: ops.gather(x, ops.constant([-1, 0]), ops.constant(1)),
    "gathered elements": lambda x: ops.gather_elements(x, ops.constant(np.zeros((2, 3, 4), np.int64)), 1),
    "slice": lambda x: ops.slice(x, *(ops.constant([one]) for one in (-3, 2**31 - 1, 2, 2))),
    "cumsum": lambda x: ops.cum_sum(x, ops.constant(1)),
    "squeeze": lambda x: ops.squeeze(ops.unsqueeze(x, ops.constant([-1, 0])), ops.constant([0])),
    "split": lambda x: ops.split(x, ops.constant(2), 2),
    "reshape": lambda x: ops.reshape(x, ops.constant([0, -1]), special_zero=True),
    "bidirectional": lambda x: ops.broadcast(x, ops.constant([5, 1, 3, 1]), broadcast_spec="BIDIRECTIONAL"),
    "concat": lambda x: ops.concat([x, ops.constant(A[:1])], 0),
    "range": lambda x: ops.convert(ops.range(*(ops.constant(n) for n in (2, 11, 3)), "i64"), "f32"),
    "causal attention": lambda x: ops.scaled_dot_product_attention(x, x, x, causal=True),
    "masked attention": lambda x: ops.scaled_dot_product_attention(
        x, x, x, ops.constant(np.tri(3, dtype=bool)), ops.constant(np.float32(0.3)), causal=False
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_what_openvino_gives(name, tmp_path):
    given = ops.parameter([-1, 3, 4], np.float32)
    model = ov.Model([OPERATIONS[name](given).output(0)], [given])
    ov.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
    expected = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([A])[0]
    found = TorchRunner(tmp_path / "model.xml", HERE, "float32")(A)
    np.testing.assert_allclose(found, expected[: len(A)], atol=2e-6)


def test_an_operation_that_torch_is_not_told_about_is_named(tmp_path):
    given = ops.parameter([-1, 3], np.float32)
    ov.save_model(ov.Model([ops.reverse_sequence(given, [1, 1], 0, 1)], [given]), tmp_path / "model.xml")
    with pytest.raises(EncoderError, match="operation ReverseSequence") as refused:
        TorchRunner(tmp_path / "model.xml", HERE, "float32")
    assert "profiles.device: cpu" in refused.value.remedy


def test_the_device_is_what_is_wanted_if_it_is_there(monkeypatch):
    monkeypatch.setattr(runtime, "has_cuda", lambda: False)
    assert [device_for(one, "float32") for one in ("cpu", "auto")] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="no CUDA device") as refused:
        device_for("cuda", "float32")
    assert refused.value.remedy
    monkeypatch.setattr(runtime, "has_cuda", lambda: True)
    assert [device_for(one, "bfloat16") for one in ("cpu", "auto", "cuda")] == ["cpu", "cuda", "cuda"]
    assert device_for("auto", "int8") == "cpu"
    with pytest.raises(ConfigError, match="int8 encoder runs on processors"):
        device_for("cuda", "int8")


def test_without_a_driver_torch_is_not_even_imported(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime, "DRIVER_FILES", (tmp_path / "no-driver",))
    monkeypatch.setattr(runtime, "find_spec", lambda name: pytest.fail("looked for torch"))
    assert not has_cuda()
    (tmp_path / "no-driver").touch()
    monkeypatch.setattr(runtime, "find_spec", lambda name: object())
    assert has_cuda() == torch.cuda.is_available()


def test_another_precision_makes_another_hash_but_a_device_none(tiny, encoders):
    hashes = {
        precision: pack_encoder(encoder_params(tiny, precision=precision), encoders, ()).hash
        for precision in ("float32", "bfloat16", "float16")
    }
    assert len(set(hashes.values())) == 3
