"""What an ML engineer does with DVC, in a real clone with a remote: repro, metrics, plots, experiments, restore."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localplatform.workspace import make_workspace, set_remote
from recsys import Release
from recsys.catalogue.pseudonyms import Pseudonyms
from tests.effects.test_forget import RAW, traces

pytestmark = pytest.mark.whole
ROOT = Path(__file__).resolve().parents[2]
GENRES = ("western", "opera", "robot", "pirate", "kitchen", "mountain")
WORDS = (
    "red",
    "silent",
    "broken",
    "golden",
    "lost",
    "winter",
    "hidden",
    "last",
    "broad",
    "river",
    "stone",
    "letter",
)


class Clone:
    """A workspace cloned from this checkout, driven by commands as a person would."""

    def __init__(self, folder):
        self.folder, self.root = folder, folder / "workspace"
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RECSYS_LANDING": str(folder / "landing"),
            "RECSYS_STORE": str(folder / "store"),
            "RECSYS_PSEUDONYM_KEY": "walk-key-0123456789",
            "RECSYS_CACHE": str(folder / "cache"),
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@localhost",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@localhost",
        }  # fmt: skip

    def begin(self, encoder):
        """Make the workspace, in which nothing has run; its encoder is quick to pack."""
        changes = {"split.by": "item-hash", "encoder.source": str(encoder), "encoder.max_tokens": "32"}
        make_workspace(ROOT, self.root, changes)
        set_remote(self.root, str(self.folder / "remote"))

    def copied(self, folder):
        """The same with all that it has made, to be changed without changing this one."""
        copy = Clone(shutil.copytree(self.folder, folder, symlinks=True))
        set_remote(copy.root, str(folder / "remote"))
        return copy

    def __call__(self, command):
        done = subprocess.run(
            command, shell=True, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def land(self, kind, name, rows):
        target = Path(self.environment["RECSYS_LANDING"]) / kind / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(json.dumps(row) + "\n" for row in rows))


def catalogue(n):
    rng = random.Random(1)
    return [
        {
            "item_id": f"f{i}",
            "title": f"{' '.join(rng.sample(WORDS, 4))} {GENRES[i % 6]}",
            "tags": [GENRES[i % 6]],
        }
        for i in range(n)
    ]


def events(n_users, n_items):
    """Each user likes one genre; the last items of each genre are seen only late."""
    rng = random.Random(2)
    rows = []
    for user in range(n_users):
        liked = [item for item in range(n_items) if item % 6 == user % 6]
        early, late = liked[: len(liked) * 2 // 3], liked[len(liked) * 2 // 3 :]
        for item in rng.sample(early, 6):
            rows.append((f"u{user}", item, 1_600_000_000 + rng.randrange(1000)))
        for item in rng.sample(late, 3):
            rows.append((f"u{user}", item, 1_600_100_000 + rng.randrange(1000)))
    return [{"user_id": u, "item_id": f"f{i}", "event": "view", "timestamp": t} for u, i, t in rows]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, tiny_encoder):
    clone = Clone(tmp_path_factory.mktemp("dvc"))
    clone.begin(tiny_encoder)
    clone.land("catalogue", "all.jsonl", catalogue(90))
    person = [
        {"user_id": RAW, "item_id": f"f{n}", "event": "view", "timestamp": 1_600_000_000 + n * 20_000}
        for n in range(0, 60, 6)
    ]
    clone.land("interactions", "events.jsonl", [*events(60, 90), *person])
    clone("recsys ingest && recsys fetch-champion && dvc repro")
    clone("recsys publish && git add -A && git commit -qm first")
    return clone


def test_a_second_repro_runs_nothing(clone):
    assert "Running stage" not in clone("dvc repro")


def test_forget_leaves_the_person_in_no_cache_or_remote_and_a_release_without_them_is_out(clone, tmp_path):
    clone = clone.copied(tmp_path / "home")
    pseudonym = Pseudonyms(clone.environment["RECSYS_PSEUDONYM_KEY"]).of(RAW)
    words = (RAW, pseudonym, pseudonym[:10])
    clone("dvc push -q")
    assert {"workspace", "remote", "store", "landing"} <= places(clone, words)
    done = json.loads(clone(f"recsys forget {RAW} --json"))
    assert done["n_dvc_objects"] > 4 and done["release"] and not done["left"]
    assert places(clone, words) == {"store"}
    release = Release.open(clone.environment["RECSYS_STORE"], cache=tmp_path / "reader")
    assert pseudonym not in release.users
    assert "Running stage" in clone("dvc repro") and "Running stage" not in clone("dvc repro")
    clone("dvc push -q && git add -A && git commit -qm forgotten && dvc checkout -q")
    assert places(clone, words) == {"store"}


def places(clone, words):
    """Folders of the clone's home that hold one of the words."""
    return {name.split("/")[0] for name in traces(clone.folder, words)}


def test_an_experiment_changes_a_metric_that_metrics_diff_shows(clone):
    clone("dvc exp run -q -S users.ridge_lambda=0.01")
    difference = json.loads(clone("dvc metrics diff --json"))
    assert difference, "another ridge_lambda moved no metric"
    clone("git checkout -q -- . && dvc checkout -q --force && dvc repro -q")


def test_plots_are_drawn_as_a_page(clone):
    clone("dvc plots show -o plots_page")
    page = (clone.root / "plots_page" / "index.html").read_text()
    assert "vega" in page and "recall" in page


def test_the_features_of_a_release_come_back_from_the_remote(clone):
    release = Release.open(clone.environment["RECSYS_STORE"]).id
    kept = {path.name: path.read_bytes() for path in (clone.root / "artifacts/features").iterdir()}
    parts = {
        path.relative_to(clone.root): path.read_bytes() for path in (clone.root / "data").rglob("*.parquet")
    }
    for folder in (".dvc/cache", "artifacts/features", "data"):
        shutil.rmtree(clone.root / folder)
    clone(f"recsys restore {release}")
    assert {path.name: path.read_bytes() for path in (clone.root / "artifacts/features").iterdir()} == kept
    for name, content in parts.items():
        assert (clone.root / name).read_bytes() == content
