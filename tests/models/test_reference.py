"""Which model it is: one file says so."""

import json

import pytest

from recsys.models.reference import ModelReference
from tests.publishing.shop import tiny_encoder


@pytest.fixture
def model(tmp_path):
    return ModelReference.of(tiny_encoder(tmp_path / "encoders"))


def test_a_saved_model_replaces_the_file_from_before_there_were_parts(model, tmp_path):
    path = tmp_path / "model.json"
    lump = model.encoder.model_dump(mode="json") | {"registry": None}
    path.with_name("encoder.json").write_text(json.dumps(lump))
    assert ModelReference.is_at(path) and ModelReference.load(path) == model
    other = ModelReference.of(model.encoder, None, 7.0)
    other.save(path)
    assert ModelReference.load(path) == other
    path.unlink()  # as DVC does before it runs the stage that writes it
    assert not ModelReference.is_at(path)
