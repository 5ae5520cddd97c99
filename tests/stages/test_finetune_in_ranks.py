"""`finetune.processes`: the stage in several real processes, one of them killed; then it goes on to the same curve."""

import csv
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from recsys.models.reference import ModelReference
from recsys.stages import finetune, split
from recsys.training.summary import TrainingSummary
from tests.stages.judged_world import ROOT, make_world
from tests.stages.test_finetune import chosen_for

pytestmark = pytest.mark.whole
SEARCH = {"trials": 2, "trial_ranges": {"learning_rate": (1e-4, 1e-1)}, "epochs": 4, "layers": "all"}


def curve(world):
    rows = csv.DictReader((world.at.finetune / "history.csv").read_text().splitlines())
    return [float(row["loss"]) for row in rows if row["loss"]]


def start(world, chosen):
    """The stage as DVC starts it."""
    world.at.params.write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    return subprocess.Popen(
        [sys.executable, "-m", "recsys", "run", "finetune"],
        cwd=ROOT, env=os.environ | {"RECSYS_WORKSPACE": str(world.at.root)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def second_of(running):
    """The process with rank 1."""
    children = psutil.Process(running.pid).children(recursive=True)
    return next(one for one in children if one.environ().get("RANK") == "1")


def test_a_killed_process_ends_all_and_the_next_run_goes_on_to_the_curve_of_one(tmp_path, tiny_encoder):
    alone, together = make_world(tmp_path / "alone"), make_world(tmp_path / "together")
    for world in (alone, together):
        split.run(world.settings, world.at)
    chosen = chosen_for(tiny_encoder, **SEARCH)
    finetune.run(chosen, alone.at)

    two = chosen.model_copy(update={"finetune": chosen.finetune.model_copy(update={"processes": 2})})
    running = start(together, two)
    while not list(together.at.training.glob("*/checkpoint.safetensors")):
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    second_of(running).send_signal(signal.SIGKILL)
    said = running.communicate()[1]
    assert running.returncode == 1 and "process 1 of 2 was ended by SIGKILL" in said
    assert not together.at.model_reference("challenger").exists()

    again = start(together, two)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert "continues after step" in said and said.count(", by 2 processes") == 3  # by rank 0 alone
    assert curve(together) == pytest.approx(curve(alone), rel=1e-3)
    summaries = [TrainingSummary.load(world.at.finetune / "summary.json") for world in (alone, together)]
    assert summaries[0].trials[1].drawn == summaries[1].trials[1].drawn
    model = ModelReference.load(together.at.model_reference("challenger"))
    assert model.hash == summaries[1].model_hash
