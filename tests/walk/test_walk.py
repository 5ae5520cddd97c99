"""The whole fast loop on sixty items, in one process: land, ingest, stages, publish, use, roll back."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from recsys import Release
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.cli import main

pytestmark = pytest.mark.whole
ROOT = Path(__file__).resolve().parents[2]
STAGES = ("validate", "images", "features", "profiles@champion", "users", "index")
SUBJECTS = ("sea voyage", "murder mystery", "space station", "jazz club", "desert war", "royal court")


class House:
    """One workspace with landing zone and store, driven by commands."""

    def __init__(self, root):
        self.root = root
        for name in ("params.yaml", "dvc.yaml"):
            shutil.copy(ROOT / name, root / name)
        subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
        self.environment = {
            "RECSYS_WORKSPACE": str(root),
            "RECSYS_LANDING": str(root / "landing"),
            "RECSYS_STORE": str(root / "store"),
            "RECSYS_PSEUDONYM_KEY": "walk-key-0123456789",
        }
        self("fetch-champion")

    def __call__(self, *arguments):
        result = CliRunner().invoke(main, list(arguments), env=self.environment, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def land(self, kind, name, rows):
        target = self.root / "landing" / kind / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def arrive(self):
        self("ingest")
        for stage in STAGES:
            self("run", stage)
        self("publish")
        return Release.open(str(self.root / "store"))

    @property
    def encoded(self):
        return json.loads((self.root / "var/last_encode.json").read_text())["encoded"]


def films(first, n):
    return [
        {"item_id": f"f{i}", "title": f"{SUBJECTS[i % 6]} number {i}", "tags": [SUBJECTS[i % 6].split()[0]]}
        for i in range(first, first + n)
    ]


def views(n_users):
    """User u only ever watches subject u mod 6."""
    return [
        {
            "user_id": f"user-{u}",
            "item_id": f"f{u % 6 + 6 * j}",
            "event": "view",
            "timestamp": 1_600_000_000 + j,
        }
        for u in range(n_users)
        for j in range(4)
    ]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("house"))
    house.land("catalogue", "first.jsonl", films(0, 50))
    house.land("interactions", "views.jsonl", views(12))
    house.first = house.arrive()
    return house


def test_the_walk(house):
    first = house.first
    assert house.encoded == 50 and len(first.items) == 50 and len(first.users) == 12

    # nothing new: nothing encoded, the same release
    again = house.arrive()
    assert again.id == first.id

    # ten cold items: exactly those are encoded, and a user's kind of film comes first for them
    house.land("catalogue", "cold.jsonl", films(50, 10))
    second = house.arrive()
    assert house.encoded == 10 and len(second.items) == 60
    name = Pseudonyms(house.environment["RECSYS_PSEUDONYM_KEY"])
    for user in range(6):
        best = second.recommend(pseudonym=name.of(f"user-{user}"), k=6)
        viewed = {view["item_id"] for view in views(12) if view["user_id"] == f"user-{user}"}
        assert not viewed & {scored.item_id for scored in best}
        assert int(best[0].item_id[1:]) % 6 == user, "a user who watches one subject gets that subject first"

    # an edit: one is encoded, its profile moves, no other does
    before = {item: second.profile(item) for item in ("f3", "f4")}
    house.land("catalogue", "edit.jsonl", [{"item_id": "f3", "title": "a quiet garden in spring"}])
    third = house.arrive()
    assert house.encoded == 1
    assert np.abs(third.profile("f3") - before["f3"]).max() > 0.01
    np.testing.assert_array_equal(third.profile("f4"), before["f4"])

    # a delete: the item is gone from every list
    house.land("catalogue", "delete.jsonl", [{"item_id": "f9", "deleted": True}])
    fourth = house.arrive()
    assert "f9" not in fourth.items and len(fourth.items) == 59
    assert all(scored.item_id != "f9" for scored in fourth.similar("f15", k=58))

    # back in a second, held, resumed
    house("rollback", "previous", "--why", "a test")
    assert Release.open(str(house.root / "store")).id == third.id
    house.land("catalogue", "held.jsonl", films(60, 1))
    assert house.arrive().id == third.id
    house("resume")
    resumed = Release.open(str(house.root / "store"))
    assert "f60" in resumed.items

    # every profile can be traced
    trace = json.loads(house("trace", "f3", "--json"))
    assert trace["release"] == resumed.id and "edit.jsonl" in json.dumps(trace)


def test_no_raw_user_id_is_anywhere_behind_the_landing_zone(house):
    for folder in ("data", "artifacts", "store", "var"):
        for path in (house.root / folder).rglob("*"):
            if path.is_file():
                assert b"user-1" not in path.read_bytes(), path


def test_compacting_changes_no_profile_and_keeps_the_origin_of_every_row(house):
    before = Release.open(str(house.root / "store"))
    params = house.root / "params.yaml"
    params.write_text(params.read_text().replace("max_parts: 64", "max_parts: 2"))
    house("compact")
    after = house.arrive()
    assert house.encoded == 0
    assert sorted(after.items) == sorted(before.items)
    for item in before.items:
        np.testing.assert_array_equal(after.profile(item), before.profile(item))
    assert "edit.jsonl" in house("trace", "f3", "--json")
