"""A small workspace with DVC, its landing zone and its store, driven by real commands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from bench.small_workspace import KEY, SmallWorkspace
from tests.dvc_folder import begin_dvc
from tests.walk.forking import run_forked

ROOT = Path(__file__).resolve().parents[2]
RECSYS = (sys.executable, "-m", "recsys")


class Place:
    """A workspace below a folder. Landing zone and store lie there too, or in a folder that others have as well."""

    def __init__(self, home, shared=None):
        outside = home if shared is None else shared
        self.small = SmallWorkspace(home / "workspace", str(outside / "landing"), str(outside / "store"))
        self.root = self.small.root
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RECSYS_LANDING": self.small.landing,
            "RECSYS_STORE": self.small.store,
            "RECSYS_PSEUDONYM_KEY": KEY,
            "RECSYS_CACHE": str(home / "cache"),
            "COLUMNS": "200",
        }

    def begin(self, encoder):
        """Make the workspace, in which nothing has run; its encoder is quick to pack."""
        self.root.mkdir(parents=True)
        begin_dvc(self.root)
        shutil.copyfile(ROOT / "dvc.yaml", self.root / "dvc.yaml")
        for folder in ("recsys", "dags"):  # what dvc.yaml names as deps
            (self.root / folder).symlink_to(ROOT / folder)
        params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
        params["encoder"] |= {"source": str(encoder), "max_tokens": 32}
        (self.root / "params.yaml").write_text(yaml.safe_dump(params))

    def run(self, *command, code=0):
        """Run a command there, in a process of its own; what it printed."""
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def recsys(self, *words, code=0):
        """Run a command of recsys there, in a fork that need not import; what it printed."""
        found, output = run_forked(words, self.root, self.environment, self.root.parent / "output.txt")
        assert found == code, output
        return output

    def arrive(self, *options, code=0):
        return self.recsys("arrive", *options, code=code)

    @property
    def release(self):
        return json.loads(Path(self.small.store, "CURRENT").read_text())["release"]

    @property
    def data(self):
        return (self.root / "data.dvc").read_bytes()

    @property
    def lock(self):
        return (self.root / "dvc.lock").read_bytes()
