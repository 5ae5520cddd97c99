"""Training that continues from the champion or is pulled to it, where the cut allows: real, with a tiny encoder."""

import csv
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from recsys.catalogue.split import Split
from recsys.effects.fetch_champion import fetch_champion
from recsys.encoders.pack import pack_encoder
from recsys.encoders.source import source_files
from recsys.errors import ArtifactMissing, EncoderError
from recsys.evaluation.provenance import TrainedOn, identity
from recsys.models.opening import open_model
from recsys.models.reference import ModelReference
from recsys.stages import finetune, split
from recsys.storage.packed import PackedFile
from recsys.training.summary import TrainingSummary
from recsys.training.teacher import Teacher
from tests.stages.judged_world import make_world
from tests.stages.test_finetune import chosen_for

pytestmark = pytest.mark.whole
EARLIER, LATER = 0.5, 0.2
"""Shares of the interactions that two holdouts test by."""


def quick(encoder, test_share=LATER, **finetune_params):
    """Settings without heads, which take longer than the training of so small an encoder."""
    chosen = chosen_for(encoder, **finetune_params)
    changed = {"split": {"test_share": test_share, "min_test_users": 2}, "fusion": {"width": 0}}
    return chosen.model_copy(
        update={name: getattr(chosen, name).model_copy(update=values) for name, values in changed.items()}
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_encoder):
    """The champion was trained on an earlier cut, and lies here as `fetch-champion` would bring it."""
    made = make_world(tmp_path_factory.mktemp("world"))
    at, chosen = made.at, quick(tiny_encoder, EARLIER)
    split.run(chosen, at)
    trained_on = {"trained_on": identity(at.split), "trained_until": Split.load(at.split).summary.cut}
    weights = moved(tiny_encoder, tmp_path_factory.mktemp("champion"))
    encoder = pack_encoder(chosen.encoder.model_copy(update={"source": str(weights)}), at.encoders, ())
    champion = ModelReference.of(encoder)
    champion.save(at.model_reference("champion"))
    shutil.copytree(weights, at.weights / encoder.hash)
    files = tuple(PackedFile.of(path) for path in source_files(weights))
    trained = TrainedOn(model_hash=champion.hash, **trained_on)
    Teacher(encoder=encoder, trained=trained, weights=files).save(at.teacher)
    split.run(quick(tiny_encoder), at)
    assert Split.load(at.split).summary.cut > trained.trained_until
    return made


def moved(encoder, folder):
    """The same transformer with other weights, as after a training."""
    shutil.copytree(encoder, folder, dirs_exist_ok=True)
    tensors, rng = load_file(encoder / "model.safetensors"), np.random.default_rng(3)
    changed = {
        name: value + rng.normal(0, 0.05, value.shape).astype(np.float32) for name, value in tensors.items()
    }
    save_file(changed, folder / "model.safetensors", {"format": "pt"})
    return folder


def trained(world, root, encoder, teacher=None, **finetune_params):
    """A training in a copy of the world; its summary and its vectors of some texts."""
    shutil.copytree(world.at.root, root, dirs_exist_ok=True)
    at = type(world.at)(root)
    if teacher is not None:
        teacher.save(at.teacher)
    finetune.run(quick(encoder, **finetune_params), at)
    return at, TrainingSummary.load(at.finetune / "summary.json")


def vectors(at, role="challenger"):
    model = ModelReference.of(ModelReference.load(at.model_reference(role)).encoder)
    return open_model(model, at.cache, 256).encode([f"river {n} engine {n % 7}" for n in range(30)])


@pytest.fixture(scope="module")
def continued(world, tiny_encoder, tmp_path_factory):
    return trained(world, tmp_path_factory.mktemp("continued"), tiny_encoder, start="champion")


def test_it_begins_with_the_champions_weights_and_says_so(world, continued):
    at, summary = continued
    champion = ModelReference.load(at.model_reference("champion")).encoder.hash
    assert (summary.start, summary.champion, summary.why_not) == ("champion", champion, "")
    assert (
        summary.validation["champion/cosine"] > 0.99
    )  # before any step; packed and trained weights round apart
    assert "pretrained/ndcg@5" not in summary.validation and "champion/ndcg@5" in summary.validation


def test_forgetting_is_measured_on_older_items_from_the_first_epoch_to_the_last(continued):
    at, summary = continued
    with (at.finetune / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"cosine", "older_ndcg@5"} <= rows[0].keys()
    assert all(0 < float(row["older_ndcg@5"]) <= 1 for row in rows)
    assert summary.validation["champion/older/ndcg@5"] == float(rows[0]["older_ndcg@5"])
    best = max(rows, key=lambda row: float(row["ndcg@5"]))
    assert summary.validation["older/ndcg@5"] == float(best["older_ndcg@5"])


def test_only_items_that_the_champion_cannot_know_are_validated_by(world, continued, tiny_encoder, tmp_path):
    _, summary = continued
    cut = Teacher.load(world.at.teacher).trained.trained_until
    train = Split.load(world.at.split).train
    first = train.group_by("item_id").aggregate([("timestamp", "min")])
    new = sum(time >= cut for time in first["timestamp_min"].to_pylist())
    assert 0 < summary.n_held_items <= new < summary.n_items
    _, plain = trained(world, tmp_path, tiny_encoder)
    assert plain.n_held_items >= summary.n_held_items and plain.champion is None


def test_a_pull_keeps_the_vectors_nearer_to_the_champions(world, tiny_encoder, tmp_path):
    """Without a better epoch the best one is the first, so the last cosines of the curves are compared."""
    last = {}
    for pull in (0.0, 10.0):
        at, summary = trained(world, tmp_path / str(pull), tiny_encoder, start="champion", pull=pull)
        with (at.finetune / "history.csv").open() as file:
            last[pull] = float(list(csv.DictReader(file))[-1]["cosine"])
        assert summary.params.pull == pull
    assert 1 - last[10.0] < 0.5 * (1 - last[0.0])


def test_the_pull_alone_draws_the_pretrained_encoder_towards_the_champion(world, tiny_encoder, tmp_path):
    _, summary = trained(world, tmp_path, tiny_encoder, pull=10.0)
    assert summary.start == "pretrained" and summary.champion is not None
    with (tmp_path / "artifacts/finetune/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["cosine"]) > float(rows[0]["cosine"])


@pytest.mark.parametrize("later", [True, False])
def test_a_champion_that_may_know_the_test_data_is_left_aside_and_the_summary_says_why(
    world, tiny_encoder, tmp_path, later
):
    """Trained until a later cut, or until an unknown one: the training is the one that wants no champion."""
    found = Teacher.load(world.at.teacher)
    until = {"trained_until": found.trained.trained_until.replace(year=2027) if later else None}
    contaminated = found.model_copy(update={"trained": found.trained.model_copy(update=until)})
    at, summary = trained(world, tmp_path / "a", tiny_encoder, contaminated, start="champion", pull=1.0)
    assert (summary.start, summary.champion) == ("pretrained", None)
    assert "the champion may know test data" in summary.why_not and "older/ndcg@5" not in summary.validation
    other, _ = trained(world, tmp_path / "b", tiny_encoder)
    name = "model/model.safetensors"
    assert (at.finetune / name).read_bytes() == (other.finetune / name).read_bytes()


def test_a_champion_whose_version_has_no_weights_is_pulled_to_but_not_continued(
    world, tiny_encoder, tmp_path
):
    bare = Teacher.load(world.at.teacher).model_copy(update={"weights": ()})
    _, summary = trained(world, tmp_path, tiny_encoder, bare, start="champion", pull=1.0)
    assert summary.start == "pretrained" and summary.champion is not None
    assert "no weights to continue from" in summary.why_not and "pretrained/cosine" in summary.validation


def test_a_champion_of_first_light_is_the_pretrained_encoder_already(tiny_encoder, tmp_path):
    world, chosen = make_world(tmp_path), quick(tiny_encoder, start="champion")
    split.run(chosen, world.at)
    with pytest.raises(ArtifactMissing, match=r"teacher.json does not exist"):
        finetune.run(chosen, world.at)
    fetch_champion(None, world.at, chosen)
    finetune.run(chosen, world.at)
    summary = TrainingSummary.load(world.at.finetune / "summary.json")
    assert summary.start == "pretrained" and summary.why_not == "the champion was never trained"


def test_without_training_the_champions_encoder_gets_a_new_head(world, tiny_encoder, tmp_path):
    at, summary = trained(world, tmp_path, tiny_encoder, start="champion", layers="none")
    assert summary.start == "champion" and summary.n_trained_weights == 0
    np.testing.assert_allclose(vectors(at), vectors(at, "champion"), atol=1e-5)
    assert json.loads((at.finetune / "seeds/seeds.json").read_text())["seeds"]


def test_damaged_weights_are_refused(world, tiny_encoder, tmp_path):
    shutil.copytree(world.at.root, tmp_path, dirs_exist_ok=True)
    at = type(world.at)(tmp_path)
    weights = at.weights / Teacher.load(at.teacher).encoder.hash / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(EncoderError, match=r"model.safetensors is damaged"):
        finetune.run(quick(tiny_encoder, start="champion"), at)
