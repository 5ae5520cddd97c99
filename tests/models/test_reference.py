"""Which model it is: its hash stands for all of it, and one file says so."""

import json

import pytest

from recsys.errors import EncoderError
from recsys.models.parts import SearchPart
from recsys.models.reference import ModelReference
from tests.publishing.film_workspace import tiny_encoder


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


@pytest.mark.parametrize(
    "change",
    [
        {"users": {"ridge_lambda": 7.0}},
        {"ranker": {"name": "item_weights", "files": [{"name": "w", "size": 1, "sha256": "0" * 64}]}},
        {"ranker": {"name": "item_weights", "hash": "0" * 64}},
    ],
)
def test_an_encoders_own_hash_does_not_stand_for_it_with_something_else(model, tmp_path, change):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(model.model_dump(mode="json") | change))
    with pytest.raises(EncoderError, match="is not the hash of these parts|has files and no hash"):
        ModelReference.load(path)


def test_chosen_weights_are_part_of_the_model_but_not_of_its_profiles(model, tmp_path):
    path, search = tmp_path / "model.json", SearchPart(lexical_weight=0.4, typical_weight=16)
    weighed = model.with_search(search)
    assert weighed.hash != model.hash != weighed.with_search(SearchPart(lexical_weight=0.5)).hash
    assert weighed.profiles_hash == model.profiles_hash and weighed.files == model.files
    weighed.save(path)
    assert ModelReference.load(path) == weighed and ModelReference.load(path).search == search
    assert weighed.with_search(None) == model


def test_a_model_from_before_there_were_weights_keeps_its_bytes_and_its_hash(model, tmp_path):
    path = tmp_path / "model.json"
    model.save(path)
    assert "search" not in json.loads(path.read_text())
    assert ModelReference.load(path).hash == model.hash == model.encoder.hash


def test_a_weight_that_was_changed_by_hand_is_refused(model, tmp_path):
    path = tmp_path / "model.json"
    plain = model.with_search(SearchPart(text_weight=2.0)).model_dump(mode="json")
    path.write_text(json.dumps(plain | {"search": plain["search"] | {"text_weight": 3.0}}))
    with pytest.raises(EncoderError, match="is not the hash of these parts"):
        ModelReference.load(path)
