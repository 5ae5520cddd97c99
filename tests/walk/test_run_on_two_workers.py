"""A training whose tasks run on workers that share no disk, by real commands; one worker is killed while it trains."""

import json
import os
import signal
import subprocess
import time

import pytest
import yaml
from safetensors import safe_open

from recsys.models.reference import ModelReference
from recsys.state.store import StateStore
from recsys.storage.opening import open_storage
from tests.dags.conftest import LENIENT, QUICK
from tests.training.tastes import taste_pairs, taste_texts
from tests.walk.place import RECSYS
from tests.walk.test_two_workers import Worker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
FORM = {"epochs": 12, "patience": 12, "checkpoint_steps": 1}
BEFORE = ("fetch-champion", "validate", "images", "features", "split")
AFTER = ("profiles@challenger", "profiles@champion", "evaluate", "gate")


class Trainer(Worker):
    """A worker that runs tasks of runs, as Airflow's do."""

    def __init__(self, home, shared, encoder):
        super().__init__(home, shared, encoder)
        found = yaml.safe_load((self.root / "params.yaml").read_text("utf-8"))
        found["split"] |= {"by": "item-hash", "min_test_users": 2}
        found["finetune"] |= QUICK
        found["gate"] |= LENIENT
        found["slow_loop"]["checkpoint_s"] = 0.2
        (self.root / "params.yaml").write_text(yaml.safe_dump(found))
        self.environment |= {"RECSYS_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1"}

    def own(self, run):
        return self.root / "var/workspaces" / run

    def make(self, run):
        self.done(*RECSYS, "workspace", "make", "--train", "--finetune", json.dumps(FORM), str(self.own(run)))

    def task(self, run, name):
        return self.done(*self.synced(name), run=run)

    def synced(self, name):
        dvc = ("dvc", "--wait-for-lock", "repro", "--single-item", name)
        command = ("python", "-m", "recsys", name) if name == "fetch-champion" else dvc
        return (*RECSYS, "workspace", "sync", "--", *command)

    def in_run(self, run):
        return self.environment | ({"RECSYS_WORKSPACE": str(self.own(run))} if run else {})

    def done(self, *command, run=None):
        done = subprocess.run(command, cwd=self.root, env=self.in_run(run), capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def begin(self, run, name):
        return subprocess.Popen(
            self.synced(name), cwd=self.root, env=self.in_run(run), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def stored_step(states, run, folder):
    """Step of the checkpoint in the store; -1 where there is none, or it is replaced just now."""
    found = states.read(run)
    names = [name for name in found[0].files if name.endswith("checkpoint.safetensors")] if found else []
    place = folder / "checkpoint.safetensors"
    if not names or not states.storage.find(f"{run}/files/{found[0].object_of(found[0].files[names[0]])}"):
        return -1
    states.download(run, found[0], [(found[0].files[names[0]], place)])
    with safe_open(place, framework="pt") as file:
        return json.loads(file.metadata()["record"])["step"]


def challenger(trainer, run):
    return ModelReference.load(trainer.own(run) / "artifacts/challenger/model.json")


def test_a_killed_training_goes_on_elsewhere_and_ends_as_one_that_nobody_killed(tmp_path, tiny_encoder):
    shared, run, whole = tmp_path / "shared", "train_challenger.killed", "train_challenger.whole"
    one, two, three = (Trainer(tmp_path / name, shared, tiny_encoder) for name in ("one", "two", "three"))
    states = StateStore(open_storage(shared / "state"))
    clicks = [
        {"user_id": user, "item_id": item, "event": "view", "timestamp": 1.7e9 + 60 * n}
        for n, (user, item) in enumerate(taste_pairs())
    ]
    one.small.land("interactions", "clicks.jsonl", clicks, 0)
    texts = [{"item_id": item, "title": text} for item, text in taste_texts().items()]
    one.small.land("catalogue", "items.jsonl", texts, 0)
    one.arrive("--skip-code")
    two.make(run)  # by a worker on which nothing has arrived
    for name, worker in zip(BEFORE, (one, two, one, two, one), strict=True):
        worker.task(run, name)
    training = two.begin(run, "finetune")
    while (step := stored_step(states, run, tmp_path)) < 3:
        assert training.poll() is None
        time.sleep(0.1)
    os.killpg(training.pid, signal.SIGKILL)
    training.wait()
    assert not (two.own(run) / "artifacts/challenger/model.json").exists()
    before = stored_step(states, run, tmp_path)
    assert before >= step
    again = one.begin(run, "finetune")
    seen = []
    while again.poll() is None:
        seen.append(stored_step(states, run, tmp_path))
        time.sleep(0.1)
    assert again.returncode == 0
    assert min(one for one in seen if one >= 0) >= before  # counted in steps: nothing began again
    for name, worker in zip(AFTER, (three, one, three, three), strict=True):
        worker.task(run, name)
    assert (three.own(run) / "artifacts/gate/page.html").exists()
    assert "Stage 'gate' didn't change, skipping" in one.task(run, "gate")
    one.make(whole)
    for name in (*BEFORE, "finetune"):
        one.task(whole, name)
    assert challenger(one, whole).hash == challenger(three, run).hash == challenger(one, run).hash
    for name in ("history.csv", "summary.json"):
        assert (one.own(whole) / "artifacts/finetune" / name).read_bytes() == (
            three.own(run) / "artifacts/finetune" / name
        ).read_bytes()
    three.done(*RECSYS, "workspace", "finish", "--keep", "0", run=run)
    assert states.names("train_challenger.") == (whole,)
    one.make(whole)  # the next run of a worker takes away what is over
    assert [path.name for path in one.own(run).parent.iterdir() if path.is_dir()] == [whole]
