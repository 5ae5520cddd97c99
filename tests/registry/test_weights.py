"""Weights of trained versions in a real MLflow: `register` leaves them, a later training's workspace finds them."""

import json
import shutil

import pytest

from recsys.artifacts import Artifacts
from recsys.effects.register import register
from recsys.models.reference import ModelReference, RegistryEntry
from recsys.registry.weights import fetch_weights
from recsys.training.summary import has_new_weights

pytestmark = pytest.mark.servers
NOBODY = "http://127.0.0.1:9"


def registered(trained, uri, model, name, **summary):
    """The challenger as another workspace gets it once it is champion."""
    model_hash = trained.challenge(name)
    path = trained.at.finetune / "summary.json"
    path.write_text(json.dumps({"model_hash": model_hash} | summary))
    version = register(uri, trained.at, "trainer", model).version
    entry = RegistryEntry(model=model, version=version.version, run_id=version.run_id)
    return ModelReference.load(trained.at.model_reference("challenger")).model_copy(
        update={"registry": entry}
    )


def test_weights_come_back_byte_for_byte_and_are_fetched_once(
    trained, mlflow_server, model, tiny_encoder, tmp_path
):
    shutil.copytree(tiny_encoder, trained.at.finetune / "model")
    champion = registered(trained, mlflow_server, model, "better", best_epoch=2)
    weights = Artifacts(tmp_path / "elsewhere").weights
    found = fetch_weights(mlflow_server, champion, weights)
    assert [one.name for one in found] == ["config.json", "tokenizer.json", "model.safetensors"]
    for one in found:
        there = weights / champion.encoder.hash / one.name
        assert there.read_bytes() == (tiny_encoder / one.name).read_bytes()
    assert fetch_weights(NOBODY, champion, weights) == found
    assert [path.name for path in weights.iterdir()] == [champion.encoder.hash]


def test_a_version_that_found_nothing_better_than_the_pretrained_weights_has_none(
    trained, mlflow_server, model, tiny_encoder, tmp_path
):
    shutil.copytree(tiny_encoder, trained.at.finetune / "model")
    champion = registered(trained, mlflow_server, model, "same", best_epoch=0)
    assert fetch_weights(mlflow_server, champion, tmp_path / "weights") == ()
    assert not list((tmp_path / "weights").iterdir())


@pytest.mark.parametrize(
    ("summary", "expected"),
    [({}, False), ({"best_epoch": 1}, True), ({"best_epoch": 0, "start": "champion"}, True)],
)
def test_weights_are_new_where_an_epoch_was_better_or_the_champions_were_kept(tmp_path, summary, expected):
    path = tmp_path / "summary.json"
    assert not has_new_weights(path)
    path.write_text(json.dumps(summary))
    assert has_new_weights(path) is expected
