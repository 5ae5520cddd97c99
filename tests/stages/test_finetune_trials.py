"""`finetune.trials`: validation chooses among drawn values; a killed search leaves the same bytes."""

import os
import subprocess
import sys

import pytest

from recsys.models.reference import ModelReference
from recsys.stages import finetune, split
from recsys.training.progress import TrainingProgress
from recsys.training.summary import TrainingSummary
from tests.stages.judged_world import ROOT, World, make_world
from tests.stages.test_finetune import chosen_for, written

pytestmark = pytest.mark.whole
TRIALS = {"trials": 3, "trial_ranges": {"learning_rate": (1e-4, 1e-1), "batch_items": (16, 64)}, "epochs": 2}


@pytest.fixture(scope="module")
def searched(tmp_path_factory, tiny_encoder):
    made = make_world(tmp_path_factory.mktemp("searched"))
    split.run(made.settings, made.at)
    finetune.run(chosen_for(tiny_encoder, **TRIALS), made.at)
    return made


def test_the_challenger_has_the_values_of_the_best_trial_and_its_score(searched):
    summary = TrainingSummary.load(searched.at.finetune / "summary.json")
    assert [trial.number for trial in summary.trials] == [0, 1, 2]
    first = summary.trials[0]
    assert first.drawn == {"learning_rate": 0.01, "batch_items": 48} and first.state == "complete"
    best = max((trial for trial in summary.trials if trial.state == "complete"), key=lambda trial: trial.best)
    assert {name: getattr(summary.params, name) for name in best.drawn} == best.drawn
    assert summary.validation["ndcg@5"] == pytest.approx(best.best)
    assert ModelReference.load(searched.at.model_reference("challenger")).hash == summary.model_hash


def test_the_best_values_set_by_hand_give_the_same_challenger_without_trials(
    searched, tiny_encoder, tmp_path
):
    params = TrainingSummary.load(searched.at.finetune / "summary.json").params
    by_hand = {"learning_rate": params.learning_rate, "batch_items": params.batch_items, "epochs": 2}
    other = make_world(tmp_path)
    split.run(other.settings, other.at)
    finetune.run(chosen_for(tiny_encoder, **by_hand), other.at)
    name = "artifacts/finetune/model/model.safetensors"
    assert (other.at.root / name).read_bytes() == (searched.at.root / name).read_bytes()


def test_only_the_search_and_the_checkpoints_of_the_challenger_stay(searched):
    names = sorted(path.name.partition("-")[0] for path in searched.at.training.iterdir())
    assert len(names) == 3 and {"frozen", "trials"} < set(names)


KILLED = """
import os, signal, sys
from pathlib import Path
from recsys.stages import finetune, split
from recsys.training.progress import TrainingProgress
from tests.stages.judged_world import make_world
from tests.stages.test_finetune import chosen_for
from tests.stages.test_finetune_trials import TRIALS

starts, stepped, started = [], TrainingProgress.on_step, TrainingProgress.on_start

def on_start(self, done, total):
    started(self, done, total)
    starts.append(total)

def on_step(self, loss, n_examples):
    stepped(self, loss, n_examples)
    if len(starts) == 2 and self._steps == 3:  # in the middle of the second trial
        os.kill(os.getpid(), signal.SIGKILL)

TrainingProgress.on_start, TrainingProgress.on_step = on_start, on_step
world = make_world(Path(sys.argv[1]))
split.run(world.settings, world.at)
finetune.run(chosen_for(Path(sys.argv[2]), **TRIALS), world.at)
"""


def test_killed_in_its_second_trial_it_goes_on_there_and_leaves_the_same_bytes(
    searched, tiny_encoder, tmp_path, monkeypatch
):
    arguments = [str(tmp_path), str(tiny_encoder)]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, env=os.environ, check=False)
    assert killed.returncode == -9
    world, starts = World(tmp_path), []
    monkeypatch.setattr(TrainingProgress, "on_start", lambda self, done, total: starts.append(done))
    finetune.run(chosen_for(tiny_encoder, **TRIALS), world.at)
    assert len(starts) == 3 and starts[0] > 0  # second trial from its checkpoint, third trial, the challenger
    assert written(world) == written(searched)
