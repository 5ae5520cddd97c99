"""recsys/encoders/runtime.py: how OpenVINO is used."""

import numpy as np
import pytest

from recsys.encoders.pack import pack_encoder
from recsys.encoders.reference import MODEL
from recsys.encoders.runtime import load_openvino, look_up_in_8_bits
from tests.encoders.models import encoder_params, save_model, texts

openvino = load_openvino()
ops = openvino.opset13
TABLE = np.random.default_rng(1).integers(-128, 128, (50, 4)).astype(np.int8)
SCALES = {
    "of each row": np.random.default_rng(2).random((50, 1)).astype(np.float32),
    "of the table": np.array([[0.3]], np.float32),
}


def lookup(scale):
    rows = ops.parameter([-1, -1], np.int64)
    table = ops.multiply(ops.convert(ops.constant(TABLE), "f32"), ops.constant(scale))
    return openvino.Model([ops.gather(table, rows, ops.constant(np.int64(0)))], [rows])


def vectors(model, rows):
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return openvino.Core().compile_model(model, "CPU", options)([rows])[0]


@pytest.mark.parametrize("of", SCALES)
def test_rows_of_8_bits_are_widened_to_the_same_numbers(of):
    rows = np.array([[0, 49, 7], [7, 7, 1]])
    changed = lookup(SCALES[of])
    look_up_in_8_bits(changed)
    np.testing.assert_array_equal(vectors(changed, rows), (TABLE.astype(np.float32) * SCALES[of])[rows])
    looked_up = [
        one.get_input_element_type(0).get_type_name()
        for one in changed.get_ordered_ops()
        if one.get_type_name() == "Gather"
    ]
    assert ("i8" in looked_up) is (of == "of each row")


@pytest.mark.parametrize("precision", ["float32", pytest.param("int8", marks=pytest.mark.whole)])
def test_a_packed_model_gives_the_same_vectors_as_without_it(precision, tmp_path):
    reference = pack_encoder(
        encoder_params(save_model(tmp_path / "model"), precision=precision), tmp_path, texts(64, seed=1)
    )
    plain, changed = (openvino.Core().read_model(tmp_path / reference.hash / MODEL) for _ in range(2))
    look_up_in_8_bits(changed)
    rows = np.random.default_rng(3).integers(0, 20, (3, 9))
    np.testing.assert_array_equal(vectors(changed, rows), vectors(plain, rows))
