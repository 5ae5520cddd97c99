import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from recsys.catalogue.split import Split
from recsys.dataset.trait_names import TraitNames
from recsys.errors import ArtifactMissing, ConfigError
from recsys.evaluation.report import Report
from recsys.heads.head_file import read_head
from recsys.models.opening import open_model
from recsys.models.reference import ModelReference
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.mlp import Mlp
from recsys.stages import evaluate, finetune, profiles, split
from recsys.training.progress import TrainingProgress
from recsys.training.seeds import TrainedSeeds
from recsys.training.summary import TrainingSummary
from recsys.validation.weighing import choose_item_weights
from tests.stages.judged_world import ROOT, World, make_world, settings
from tests.training.tastes import QUICK

pytestmark = pytest.mark.whole


def chosen_for(encoder, standard_errors=0.0, **finetune):
    """Quick settings for training that encoder. In so small a world nothing is sure: the better mean is taken."""
    return settings(
        finetune=QUICK | {"batch_items": 48} | finetune,
        encoder={"source": str(encoder), "max_tokens": 48},
        fusion={"standard_errors": standard_errors},
        users={"ridge_lambda": 1.0},
    )


@pytest.fixture(scope="module")
def chosen(tiny_encoder):
    return chosen_for(tiny_encoder)


@pytest.fixture(scope="module")
def world(tmp_path_factory, chosen):
    made = make_world(tmp_path_factory.mktemp("world"))
    split.run(made.settings, made.at)
    finetune.run(chosen, made.at)
    return made


@pytest.fixture(scope="module")
def twice(tmp_path_factory, tiny_encoder):
    made = make_world(tmp_path_factory.mktemp("twice"))
    split.run(made.settings, made.at)
    finetune.run(chosen_for(tiny_encoder, seeds=2), made.at)
    return made


def written(world):
    """Everything that the stage leaves for others, by name."""
    paths = [path for path in world.at.finetune.rglob("*") if path.is_file()]
    paths.append(world.at.model_reference("challenger"))
    return {str(path.relative_to(world.at.root)): path.read_bytes() for path in paths}


def test_the_challenger_is_packed_and_is_the_model_that_was_saved(world):
    reference = ModelReference.load(world.at.model_reference("challenger"))
    summary = TrainingSummary.load(world.at.finetune / "summary.json")
    assert reference.encoder.source == "artifacts/finetune/model" and summary.model_hash == reference.hash
    assert reference.has_head == (summary.is_first_light or summary.lexical_share is not None)
    assert reference.dim == summary.width
    vectors = open_model(reference, world.at.cache, 256).encode(["river", "engine river"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert {path.name for path in (world.at.finetune / "model").iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json",
    }  # fmt: skip


def test_a_machine_that_only_pulled_opens_the_challenger_from_what_dvc_brought(world):
    reference = ModelReference.load(world.at.model_reference("challenger"))
    queries = ["river", "engine river"]
    before = open_model(reference, world.at.cache, 256).encode(queries)
    shutil.rmtree(world.at.encoders)
    profiles.plan(world.settings, world.at, "challenger")
    np.testing.assert_array_equal(open_model(reference, world.at.cache, 256).encode(queries), before)


def test_with_no_layers_trained_the_model_is_left_as_it_came_and_gets_a_head(
    world, chosen, tiny_encoder, tmp_path
):
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    only_head = chosen.model_copy(update={"finetune": chosen.finetune.model_copy(update={"layers": "none"})})
    finetune.run(only_head, other.at)
    name = "model.safetensors"
    assert (other.at.finetune / "model" / name).read_bytes() == (tiny_encoder / name).read_bytes()
    summary = TrainingSummary.load(other.at.finetune / "summary.json")
    assert summary.n_trained_weights == summary.n_steps == 0 and summary.width > 16
    assert summary.validation["head/ndcg@5"] > 0.9 * summary.validation["without_head/ndcg@5"] > 0
    reference = ModelReference.load(other.at.model_reference("challenger"))
    assert reference.head is not None and (reference.ranker.name == "dot") == (summary.ease_lambda is None)
    assert {"head/warm/ndcg@5", "head/mixed by profiles alone/ndcg@5"} <= set(summary.validation)


def test_a_trained_encoder_that_is_not_surely_better_gives_way_to_the_pretrained_one(
    tiny_encoder, tmp_path, capsys
):
    made = make_world(tmp_path)
    split.run(made.settings, made.at)
    finetune.run(chosen_for(tiny_encoder, standard_errors=2.0, seed=4), made.at)
    name = "model.safetensors"
    assert (made.at.finetune / "model" / name).read_bytes() == (tiny_encoder / name).read_bytes()
    summary = TrainingSummary.load(made.at.finetune / "summary.json")
    assert summary.best_epoch == summary.best_step == 0 < summary.n_steps
    assert summary.validation["ndcg@5"] > summary.validation["pretrained/ndcg@5"]  # by the luck of one epoch
    told = " ".join(capsys.readouterr().err.split())
    assert "the trained encoder is not surely better" in told and "held out to choose by" in told


def test_item_weights_that_validation_chose_on_some_users_are_packed_with_the_head_and_learned_from_all(
    world, chosen, tmp_path, monkeypatch
):
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    changed = {
        "finetune": chosen.finetune.model_copy(update={"layers": "none"}),
        "fusion": chosen.fusion.model_copy(update={"max_validation_items": 100}),
    }
    recipes, n_items = [], []

    def recorded(*given):
        assert 50 < len(given[0].item_ids) <= 100 and len(given[0].interactions.users) > 1
        n_items.append(len(given[0].warm))
        recipes.append(replace(choose_item_weights(*given), ease_lambda=30.0, head_factor=0.8, lift=2.0))
        return recipes[-1]

    monkeypatch.setattr("recsys.training.challenger.choose_item_weights", recorded)
    finetune.run(chosen.model_copy(update=changed), other.at)
    reference = ModelReference.load(other.at.model_reference("challenger"))
    summary = TrainingSummary.load(other.at.finetune / "summary.json")
    weights = ItemWeights.load([other.at.finetune / "packed/ranker" / reference.ranker.files[0].name])
    assert (summary.ease_lambda, summary.head_factor, summary.lift) == (30.0, 0.8, 2.0)
    assert np.unique(weights.factor_T).tolist() == pytest.approx([0.8 / 2, 1 / 2])
    items = Split.load(other.at.split).items.to_pylist()
    n_warm = sum(row["slice"] == "warm" for row in items)
    assert len(weights.digests_T) == n_warm
    head = read_head(other.at.finetune / "packed/head")
    assert reference.users.ridge_lambda == pytest.approx(recipes[0].lambda_of(head) * n_warm / n_items[0])


def test_event_heads_that_validation_takes_are_packed_and_are_the_same_again(
    world, chosen, tmp_path, monkeypatch
):
    """The rules are widened so far that they hold in a small world; how they decide stands in test_learned.py."""
    monkeypatch.setattr("recsys.validation.learned.lower_bound", lambda *_: 1.0)
    monkeypatch.setattr("recsys.ranking.event_training.MIN_CLICKS", 2)
    update = {
        "finetune": chosen.finetune.model_copy(update={"layers": "none"}),
        "gate": chosen.gate.model_copy(update={"max_loss_tail": 1.0}),
        "ranker": chosen.ranker.model_copy(
            update={"kinds": ("mlp",), "held_out": 0.4, "sets": ("tags",), "numbers": ("age",)}
        ),
    }
    left = []
    for name in ("once", "again"):
        other = make_world(tmp_path / name)
        split.run(other.settings, other.at)
        finetune.run(chosen.model_copy(update=update), other.at)
        left.append(written(other))
    assert left[0] == left[1]
    reference = ModelReference.load(other.at.model_reference("challenger"))
    summary = TrainingSummary.load(other.at.finetune / "summary.json")
    assert reference.ranker.name == "mlp" and "head/warm by mlp/ndcg@5" in summary.validation
    mlp = Mlp.load([other.at.finetune / "packed/ranker" / reference.ranker.files[0].name])
    assert mlp.depth == chosen.ranker.depth and mlp.heads.is_learned_E[0]
    assert mlp.traits == TraitNames(("tags",), ("age",))


def test_vectors_of_a_trained_encoder_are_cached_by_it_for_the_profiles_that_follow(world):
    encoder = ModelReference.load(world.at.model_reference("challenger")).encoder
    assert any(folder.name.startswith(encoder.hash) for folder in world.at.vectors.iterdir())


def test_killed_between_the_base_and_its_head_it_encodes_nothing_again(world, chosen, tmp_path, monkeypatch):
    other = make_world(tmp_path)
    split.run(other.settings, other.at)

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(finetune, "fuse", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune.run(chosen, other.at)
    monkeypatch.undo()
    monkeypatch.setattr("recsys.models.encoding.open_vectors", killed)
    finetune.run(chosen, other.at)
    monkeypatch.undo()
    assert ModelReference.load(other.at.model_reference("challenger")) == ModelReference.load(
        world.at.model_reference("challenger")
    )


def test_width_zero_leaves_the_encoder_without_a_head(world, chosen, tmp_path):
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    update = {
        "finetune": chosen.finetune.model_copy(update={"layers": "none"}),
        "fusion": chosen.fusion.model_copy(update={"width": 0}),
    }
    finetune.run(chosen.model_copy(update=update), other.at)
    reference = ModelReference.load(other.at.model_reference("challenger"))
    assert not reference.has_head and reference.dim == 16


def test_the_summary_says_what_it_was_trained_on(world, chosen):
    summary = TrainingSummary.load(world.at.finetune / "summary.json")
    text = (world.at.finetune / "summary.json").read_text()
    older = TrainingSummary.model_validate_json(text.replace('"model_hash"', '"encoder_hash"'))
    assert '"model_hash"' in text and older == summary
    before_head_factors = json.loads(text)
    assert "popularity_power" not in before_head_factors
    before_head_factors["popularity_power"] = 0.4
    del before_head_factors["head_factor"]
    assert TrainingSummary.model_validate(before_head_factors).popularity_power == 0.4
    made = Split.load(world.at.split)
    assert summary.trained_on == hashlib.sha256((world.at.split / "train.parquet").read_bytes()).hexdigest()
    assert summary.cut == made.summary.cut and summary.params == chosen.finetune
    assert (summary.held_out_by is None) == (made.summary.by == "time")
    assert summary.model_hash == ModelReference.load(world.at.model_reference("challenger")).hash
    warm = {row["item_id"] for row in made.items.to_pylist() if row["slice"] == "warm"}
    assert summary.n_items + summary.n_held_items == len(warm)
    assert summary.validation["ndcg@5"] >= summary.validation["pretrained/ndcg@5"]


def test_the_curves_are_a_table_that_dvc_can_draw(world):
    with (world.at.finetune / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows))) and len(rows) == 4
    assert rows[0]["loss"] == "" and all(float(row["loss"]) > 0 for row in rows[1:])
    assert all(0 <= float(row["ndcg@5"]) <= 1 for row in rows)


def test_the_same_inputs_give_the_same_bytes_in_another_workspace(world, chosen, tmp_path):
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    finetune.run(chosen, other.at)
    files = sorted(path.relative_to(world.at.root) for path in world.at.finetune.rglob("*") if path.is_file())
    for name in [*files, world.at.model_reference("challenger").relative_to(world.at.root)]:
        assert (world.at.root / name).read_bytes() == (other.at.root / name).read_bytes(), name


def test_only_the_training_side_and_its_texts_are_read(world, chosen, tmp_path):
    """Test pairs and the texts of cold items may be anything: the weights stay the same."""
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    made = Split.load(other.at.split)
    Split(made.summary, made.train, made.test.slice(0, 0), made.items).save(other.at.split)
    finetune.run(chosen, other.at)
    name = "artifacts/finetune/model/model.safetensors"
    assert (world.at.root / name).read_bytes() == (other.at.root / name).read_bytes()


def test_checkpoints_of_other_parameters_are_removed_after_success(world, chosen):
    (before,) = (path.name for path in world.at.training.iterdir() if path.name != "frozen")
    other = chosen.model_copy(update={"finetune": chosen.finetune.model_copy(update={"epochs": 1})})
    finetune.run(other, world.at)
    names = {path.name for path in world.at.training.iterdir()}
    assert before not in names and len(names) == 2
    finetune.run(chosen, world.at)


def test_fields_are_left_out_where_configured_and_the_weights_become_others(world, chosen, tmp_path):
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    without = chosen.model_copy(
        update={"finetune": chosen.finetune.model_copy(update={"field_dropout": 0.5})}
    )
    finetune.run(without, other.at)
    name = "artifacts/finetune/model/model.safetensors"
    assert (world.at.root / name).read_bytes() != (other.at.root / name).read_bytes()


def test_without_a_split_it_says_what_to_run(tmp_path, chosen):
    world = make_world(tmp_path)
    with pytest.raises(ArtifactMissing, match="dvc repro split"):
        finetune.run(chosen, world.at)


@pytest.mark.parametrize("kept", [0, 1])
def test_no_interactions_and_one_user_are_refused_with_a_remedy(tmp_path, chosen, kept):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    made = Split.load(world.at.split)
    users = sorted(set(made.train["user"].to_pylist()))[:kept]
    rows = [row for row in made.train.to_pylist() if row["user"] in users]
    train = type(made.train).from_pylist(rows, schema=made.train.schema)
    Split(made.summary, train, made.test, made.items).save(world.at.split)
    with pytest.raises(ConfigError, match="nothing is warm" if kept == 0 else "of 1 users"):
        finetune.run(chosen, world.at)
    assert not world.at.model_reference("challenger").exists()


def test_nothing_of_the_workspaces_place_is_written(world):
    for path in [*world.at.finetune.rglob("*"), *world.at.encoders.rglob("*")]:
        if path.is_file():
            assert str(world.at.root).encode() not in path.read_bytes()
    assert json.loads(world.at.model_reference("challenger").read_text())["registry"] is None


def test_two_seeds_give_two_encoders_and_the_first_is_the_one_of_a_single_training(world, twice):
    once, both = written(world), written(twice)
    summary = "artifacts/finetune/summary.json"
    lists = {summary, "artifacts/finetune/seeds/seeds.json"}  # they say how many seeds there were
    assert {name: both[name] for name in once.keys() - lists} == {
        name: once[name] for name in once.keys() - lists
    }
    assert json.loads(both[summary])["params"].pop("seeds") == 2
    for one in (once, both):
        one[summary] = json.loads(one[summary]) | {"params": None}
    assert once[summary] == both[summary]
    added = {name.removeprefix("artifacts/finetune/seeds/2/") for name in both.keys() - once.keys()}
    assert {"packed/model.json", "packed/encoder/model.bin", "summary.json", "history.csv"} <= added
    assert not any(name.startswith(("model/", "artifacts")) for name in added)
    first, second = TrainedSeeds.load(twice.at.finetune).seeds
    assert (first.seed, second.seed) == (1, 2) and first.model_hash != second.model_hash
    assert first.model_hash == ModelReference.load(twice.at.model_reference("challenger")).hash
    sibling = TrainingSummary.load(twice.at.finetune / "seeds/2/summary.json")
    assert sibling.model_hash == second.model_hash and sibling.params.seed == 2
    assert sibling.trained_on == TrainingSummary.load(world.at.finetune / "summary.json").trained_on


def test_a_single_training_lists_itself_alone(world):
    (only,) = TrainedSeeds.load(world.at.finetune).seeds
    assert only.model_hash == ModelReference.load(world.at.model_reference("challenger")).hash
    assert [path.name for path in (world.at.finetune / "seeds").iterdir()] == ["seeds.json"]


def test_checkpoints_of_every_seed_stay_and_those_of_a_seed_that_is_no_longer_configured_go(
    twice, chosen, tmp_path
):
    names = {path.name for path in twice.at.training.iterdir()}
    assert len(names) == 3 and "frozen" in names
    copy = make_world(tmp_path)
    shutil.copytree(twice.at.root, copy.at.root, dirs_exist_ok=True)
    finetune.run(chosen, copy.at)
    left = {path.name for path in copy.at.training.iterdir()}
    assert left < names and len(left) == 2
    assert [path.name for path in (copy.at.finetune / "seeds").iterdir()] == ["seeds.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from recsys.stages import finetune, split
from recsys.training.progress import TrainingProgress
from tests.stages.judged_world import make_world
from tests.stages.test_finetune import chosen_for

steps, stepped = [], TrainingProgress.on_step

def on_step(self, loss, n_examples):
    stepped(self, loss, n_examples)
    steps.append(loss)
    if len(steps) == steps_of_first + 5:  # the fifth step of the second seed
        os.kill(os.getpid(), signal.SIGKILL)

TrainingProgress.on_step = on_step
steps_of_first = int(sys.argv[3])
world = make_world(Path(sys.argv[1]))
split.run(world.settings, world.at)
finetune.run(chosen_for(Path(sys.argv[2]), seeds=2), world.at)
"""


def test_killed_in_its_second_seed_it_goes_on_there_and_leaves_the_same_bytes(
    twice, tiny_encoder, tmp_path, monkeypatch
):
    n_steps = TrainingSummary.load(twice.at.finetune / "summary.json").n_steps
    arguments = [str(tmp_path), str(tiny_encoder), str(n_steps)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, env=os.environ, check=False)
    assert killed.returncode == -9
    world = World(tmp_path)
    assert not world.at.model_reference("challenger").exists()  # not before every seed is there
    starts = []
    monkeypatch.setattr(TrainingProgress, "on_start", lambda self, done, total: starts.append((done, total)))
    finetune.run(chosen_for(tiny_encoder, seeds=2), world.at)
    (done_first, total), (done_second, _) = starts
    assert done_first == n_steps and 0 < done_second < 5 <= total
    assert written(world) == written(twice)


def test_siblings_are_judged_on_a_machine_that_only_pulled(twice, tiny_encoder):
    chosen = chosen_for(tiny_encoder, seeds=2)
    profiles.run(chosen, twice.at, "challenger")
    evaluate.run(chosen, twice.at)
    report, cached = (
        Report.load(twice.at.report),
        sorted(path.name for path in (twice.at.var / "siblings").iterdir()),
    )
    sibling = ModelReference.load(twice.at.finetune / "seeds/2/packed/model.json")
    assert report.seeds[1].model_hash == sibling.hash
    assert any(name.startswith(sibling.encoder.hash) for name in cached)
    own, other = report.slice("cold").seeds
    assert own.metrics != other.metrics
    shutil.rmtree(twice.at.encoders)
    shutil.rmtree(twice.at.var / "siblings")
    evaluate.run(chosen, twice.at)
    assert Report.load(twice.at.report) == report
