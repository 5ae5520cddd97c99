"""Arrivals by workers that share no disk, by real commands: landing zone, store, remote and states are in common."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.small_workspace import KEY, SmallWorkspace
from localplatform.workspace import set_remote
from recsys import Release
from recsys.catalogue.person import Person
from recsys.catalogue.pseudonyms import Pseudonyms
from tests.dvc_folder import begin_dvc

pytestmark = pytest.mark.whole
ROOT = Path(__file__).resolve().parents[2]
RECSYS = (sys.executable, "-m", "recsys")


class Worker:
    """A workspace of its own on a machine of its own; `shared` is all that it has in common with others."""

    def __init__(self, home, shared, encoder, *, alone=False):
        self.small = SmallWorkspace(home / "workspace", str(shared / "landing"), str(shared / "store"))
        self.root = self.small.root
        self.root.mkdir(parents=True)
        begin_dvc(self.root)
        set_remote(self.root, str(shared / "remote"))
        shutil.copyfile(ROOT / "dvc.yaml", self.root / "dvc.yaml")
        for folder in ("recsys", "dags"):  # what dvc.yaml names as deps
            (self.root / folder).symlink_to(ROOT / folder)
        params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
        params["encoder"] |= {"source": str(encoder), "max_tokens": 32}
        (self.root / "params.yaml").write_text(yaml.safe_dump(params))
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RECSYS_LANDING": self.small.landing,
            "RECSYS_STORE": self.small.store,
            "RECSYS_PSEUDONYM_KEY": KEY,
            "COLUMNS": "200",
        }
        if not alone:
            self.environment["RECSYS_STATE"] = str(shared / "state")

    def arrive(self, code=0):
        return self.run("arrive", "--skip-code", code=code)

    def run(self, *words, code=0):
        command = (*RECSYS, *words)
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def data(self):
        return (self.root / "data.dvc").read_text()

    @property
    def release(self):
        return json.loads(Path(self.small.store, "CURRENT").read_text())["release"]


def test_another_worker_goes_on_from_what_the_first_one_published(tmp_path, tiny_encoder):
    shared = tmp_path / "shared"
    first, second = (Worker(tmp_path / name, shared, tiny_encoder) for name in ("first", "second"))
    first.small.land_first()
    first.arrive()
    first.small.land_second()
    output = second.arrive()
    assert "12 texts encoded" not in output  # vectors of the first arrival came along
    single = Worker(tmp_path / "alone", tmp_path / "alone-shared", tiny_encoder, alone=True)
    single.small.land_first()
    single.arrive()
    single.small.land_second()
    single.arrive()
    assert second.release == single.release
    assert second.data == single.data
    assert "nothing new has landed" in first.arrive(code=99)
    assert first.data == second.data
    assert Release.open(first.small.store, cache=tmp_path / "reader").items


def test_a_person_forgotten_on_one_worker_is_gone_for_all_and_does_not_come_back(tmp_path, tiny_encoder):
    shared = tmp_path / "shared"
    first, second = (Worker(tmp_path / name, shared, tiny_encoder) for name in ("first", "second"))
    person = Person(Pseudonyms(KEY).of("u11"), "u11")
    first.small.land_first()
    first.run("ingest")
    first.small.land_second()
    second.run("ingest")  # the newest state is the other one's
    assert holders(second.root / "data", person) and holders(shared / "remote", person)
    first.run("forget", "u11")
    assert not holders(shared, person) and not holders(first.root, person)
    second.run("ingest")
    assert first.data == second.data
    assert not holders(second.root / "data", person) and not holders(shared, person)


def holders(folder, person):
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if person.is_in(path)]
