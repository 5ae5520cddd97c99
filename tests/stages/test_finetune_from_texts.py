"""From the champion to a judged challenger that was trained without interactions: a student, and objective `texts`."""

import csv
import json

import numpy as np
import pytest

from recsys.catalogue.split import Split
from recsys.effects.fetch_champion import fetch_champion
from recsys.errors import ArtifactMissing, ConfigError
from recsys.evaluation.report import Report
from recsys.gate.decision import Decision
from recsys.models.opening import open_model
from recsys.models.reference import ModelReference
from recsys.stages import evaluate, finetune, gate, profiles, split
from recsys.training.summary import TrainingSummary
from recsys.training.teacher import Teacher
from tests.stages.judged_world import make_world
from tests.stages.test_finetune import chosen_for
from tests.training.deep import deepened

pytestmark = pytest.mark.whole
DISTILL = {
    "objective": "distill", "layers": "all", "dropout": 0.0, "student_layers": 1, "student_texts": 400, "epochs": 5,
}  # fmt: skip


def walked(root, chosen):
    """A world with a real champion and a judged challenger."""
    world = make_world(root)
    fetch_champion(None, world.at, chosen)
    profiles.run(chosen, world.at, "champion")
    split.run(chosen, world.at)
    finetune.run(chosen, world.at)
    profiles.run(chosen, world.at, "challenger")
    evaluate.run(chosen, world.at)
    gate.run(chosen, world.at)
    world.chosen = chosen
    return world


@pytest.fixture(scope="module")
def source(tiny_encoder, tmp_path_factory):
    return deepened(tiny_encoder, tmp_path_factory.mktemp("deep") / "encoder")


@pytest.fixture(scope="module")
def distilled(tmp_path_factory, source):
    chosen = chosen_for(source, **DISTILL)
    perturbed = chosen.evaluate.model_copy(update={"robustness": ("typos", "cut", "stuffed")})
    return walked(tmp_path_factory.mktemp("distilled"), chosen.model_copy(update={"evaluate": perturbed}))


def test_a_student_is_packed_judged_and_decided_about_like_any_challenger(distilled):
    at = distilled.at
    champion, student = (ModelReference.load(at.model_reference(role)) for role in ("champion", "challenger"))
    summary = TrainingSummary.load(at.finetune / "summary.json")
    assert summary.teacher == champion.encoder.hash != student.encoder.hash
    assert summary.n_texts >= 400 and summary.validation["cosine"] > summary.validation["pretrained/cosine"]
    assert json.loads((at.finetune / "model/config.json").read_text())["num_hidden_layers"] == 1
    report = Report.load(at.report)
    assert report.challenger_hash == student.hash == summary.model_hash and not report.contaminated
    assert "challenger" in report.slice("cold").models
    decision = Decision.load(at.decision)
    assert decision.model_hash == student.hash and {check.rule for check in decision.checks}


def test_both_models_read_perturbed_texts_of_cold_items(distilled):
    report = Report.load(distilled.at.report)
    assert [one.kind for one in report.robustness] == ["typos", "cut", "stuffed"]
    for one in report.robustness:
        assert set(one.models) == {"champion", "challenger"} and one.over_champion
        assert all(scores.clean != scores.perturbed for scores in one.models.values())
    rules = {check.rule for check in Decision.load(distilled.at.decision).checks}
    assert {"keeps_robustness", "resists_stuffing"} <= rules
    before = distilled.at.report.read_bytes()
    evaluate.run(distilled.chosen, distilled.at)
    assert distilled.at.report.read_bytes() == before


def test_the_students_vectors_are_near_its_teachers_on_cold_items(distilled):
    at = distilled.at
    items = Split.load(at.split).items.to_pylist()
    texts = [f"engine {row['item_id']}" for row in items if row["slice"] == "cold"]
    teacher, student = (
        open_model(
            ModelReference.of(ModelReference.load(at.model_reference(role)).encoder), at.cache, 256
        ).encode(texts)
        for role in ("champion", "challenger")
    )
    assert (teacher * student).sum(axis=1).mean() > 0.9


def test_the_curve_shows_the_cosine_with_the_teacher(distilled):
    with (distilled.at.finetune / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["cosine"]) > float(rows[0]["cosine"])


def test_the_same_inputs_give_the_same_student_and_the_test_side_is_not_learned(distilled, source, tmp_path):
    """Test pairs of other users give the same student; which cold items the test holds decides about texts alone."""
    chosen = chosen_for(source, **DISTILL)
    other = make_world(tmp_path)
    fetch_champion(None, other.at, chosen)
    split.run(chosen, other.at)
    made = Split.load(other.at.split)
    users = made.test["user"].to_pylist()[::-1]
    test = made.test.set_column(0, "user", [users])
    Split(made.summary, made.train, test, made.items).save(other.at.split)
    finetune.run(chosen, other.at)
    name = "model/model.safetensors"
    assert (other.at.finetune / name).read_bytes() == (distilled.at.finetune / name).read_bytes()


def test_a_champion_fetched_for_another_objective_is_no_teacher(source, tmp_path):
    world = make_world(tmp_path)
    split.run(world.settings, world.at)
    chosen = chosen_for(source, **DISTILL)
    with pytest.raises(ArtifactMissing, match=r"teacher.json does not exist"):
        finetune.run(chosen, world.at)
    fetch_champion(None, world.at, chosen_for(source))
    assert Teacher.load(world.at.teacher) == Teacher()
    with pytest.raises(ArtifactMissing, match="fetched for another section finetune"):
        finetune.run(chosen, world.at)


def test_a_champion_that_may_know_the_test_side_is_no_teacher(source, tmp_path):
    world, chosen = make_world(tmp_path), chosen_for(source, **DISTILL)
    fetch_champion(None, world.at, chosen)
    split.run(chosen, world.at)
    teacher = Teacher.load(world.at.teacher)
    later = teacher.trained.model_copy(update={"trained_on": "f" * 64})
    teacher.model_copy(update={"trained": later}).save(world.at.teacher)
    with pytest.raises(ConfigError, match="would learn test data from the champion"):
        finetune.run(chosen, world.at)


def test_texts_trains_without_interactions_and_is_judged_like_any_challenger(source, tmp_path):
    world = walked(tmp_path, chosen_for(source, objective="texts", layers="all", learning_rate=0.001))
    summary = TrainingSummary.load(world.at.finetune / "summary.json")
    assert summary.teacher is None and summary.n_texts > summary.n_items and summary.n_steps > 0
    report = Report.load(world.at.report)
    assert report.challenger_hash == summary.model_hash
    assert np.isfinite(report.slice("cold").models["challenger"].metrics["ndcg@20"])
