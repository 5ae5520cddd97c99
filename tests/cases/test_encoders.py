"""Encoders that teams bring, through the real commands: what their folder says of itself, and their prefixes."""

import json
import shutil

import numpy as np
import pytest
import yaml

from recsys.encoders.transformer import open_encoder
from recsys.publishing.objects import ObjectFiles
from recsys.publishing.release import DETAILED, PREFIXED
from recsys.serving.reader import Release
from recsys.serving.text_profiles import TextProfiles
from recsys.storage.opening import open_storage
from tests.encoders.test_declared import E5, declare

FEW = {"first_light": {"min_items": 1000}}
"""The encoder alone: profiles are its vectors."""


@pytest.fixture
def published(intake, tiny_encoder, tmp_path, monkeypatch):
    """Publish with an encoder, and open the release."""
    monkeypatch.setenv("RECSYS_STORE", str(intake.at.root / "store"))

    def publish(**encoder):
        folder = shutil.copytree(tiny_encoder, tmp_path / "brought", dirs_exist_ok=True)
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
