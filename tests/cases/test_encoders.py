"""Encoders that teams bring, through the real commands: what their folder says of itself, and their prefixes."""

import json
import shutil

import numpy as np
import pytest
import yaml
from tokenizers import Tokenizer
from transformers import AutoModel, Qwen2Config

from recsys.encoders.transformer import open_encoder
from recsys.publishing.formats import DETAILED, PREFIXED
from recsys.publishing.object_files import ObjectFiles
from recsys.serving.reader import Release
from recsys.serving.text_profiles import TextProfiles
from recsys.storage.opening import open_storage
from tests.encoders.models import save_static
from tests.encoders.test_declared import E5, declare

pytestmark = pytest.mark.whole

FEW = {"first_light": {"min_items": 1000}}
"""The encoder alone: profiles are its vectors."""


@pytest.fixture
def published(intake, tiny_encoder, tmp_path, monkeypatch):
    """Publish with an encoder, and open the release."""
    monkeypatch.setenv("RECSYS_STORE", str(intake.at.root / "store"))

    def publish(folder=None, **encoder):
        folder = folder or shutil.copytree(tiny_encoder, tmp_path / "brought", dirs_exist_ok=True)
        params = yaml.safe_load(intake.at.params.read_text("utf-8"))
        params["encoder"] |= {"source": str(folder), "max_tokens": 32} | encoder
        params["first_light"] |= FEW["first_light"]
        intake.at.params.write_text(yaml.safe_dump(params), "utf-8")
        for command in ("fetch-champion", "run validate", "run features", "run profiles@champion"):
            intake.run(*command.split())
        for command in ("run users", "run index", "publish"):
            intake.run(*command.split())
        return Release.open(intake.at.root / "store")

    publish.folder = tmp_path / "brought"
    return publish


def test_a_release_of_an_e5_answers_queries_with_its_own_prefix(published, intake):
    declare(published.folder, {"pooling_mode": "mean"}, E5)
    release = published()
    manifest = release.manifest
    assert (manifest.model.encoder.item_prefix, manifest.model.encoder.query_prefix) == (
        "passage: ",
        "query: ",
    )
    assert manifest.format == PREFIXED
    encoder = open_encoder(manifest.model.encoder, intake.at.encoders, 256)
    text = "Red frying pan, model 1. goods, frying pan"
    np.testing.assert_allclose(release.profile("s1"), encoder.encode([text])[0], atol=1e-6)
    files = ObjectFiles(open_storage(intake.at.root / "store"), intake.at.cache / "releases")
    texts = TextProfiles(manifest, files)
    np.testing.assert_allclose(
        texts.of_query("frying pan"), encoder.encode_queries(["frying pan"])[0], atol=1e-6
    )
    assert np.abs(encoder.encode_queries(["frying pan"]) - encoder.encode(["frying pan"])).max() > 0.01


@pytest.mark.parametrize(("kind", "pooling"), [("static", "mean"), ("decoder", "last")])
def test_a_static_table_and_a_decoder_are_published_and_searched(
    published, intake, tiny_encoder, tmp_path, kind, pooling
):
    folder = tmp_path / kind
    n_tokens = Tokenizer.from_file(str(tiny_encoder / "tokenizer.json")).get_vocab_size()
    if kind == "static":
        save_static(
            folder, embeddings=np.random.default_rng(1).normal(size=(n_tokens, 16)).astype(np.float32)
        )
    else:
        wide = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        config = Qwen2Config(vocab_size=n_tokens, num_key_value_heads=1, max_position_embeddings=64, **wide)
        AutoModel.from_config(config).save_pretrained(folder)
    shutil.copyfile(tiny_encoder / "tokenizer.json", folder / "tokenizer.json")
    release = published(folder, pooling=pooling)
    assert release.manifest.format == (DETAILED if kind == "static" else PREFIXED)
    encoder = open_encoder(release.manifest.model.encoder, intake.at.encoders, 256)
    title = "Red frying pan, model 1. goods, frying pan"
    np.testing.assert_allclose(release.profile("s1"), encoder.encode([title])[0], atol=1e-6)
    assert release.search("Red frying pan, model 1", k=1)[0].item_id == "s1"
    assert len(release.similar("s1", k=5)) == 5


def test_without_prefixes_a_release_is_as_before(published):
    release = published()
    assert release.manifest.format == DETAILED and b"item_prefix" not in release.manifest.to_bytes()


def test_an_encoder_that_was_trained_with_another_pooling_is_refused_before_any_work(published, intake):
    declare(published.folder, {"pooling_mode": "lasttoken"})
    with pytest.raises(AssertionError, match=r"set encoder\.pooling: last"):
        published()
    assert not intake.at.model_reference("champion").exists()


def test_another_prefix_makes_another_first_light(published, intake):
    published()
    before = json.loads(intake.at.model_reference("champion").read_text())
    params = yaml.safe_load(intake.at.params.read_text("utf-8"))
    params["encoder"]["item_prefix"] = "passage: "
    intake.at.params.write_text(yaml.safe_dump(params), "utf-8")
    after = json.loads(intake.run("fetch-champion", "--json").stdout)
    assert after["encoder"]["item_prefix"] == "passage: " and after["hash"] != before["hash"]
