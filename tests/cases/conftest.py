"""A small workspace for the cases that people reported: files land, the real `recsys ingest` takes them in."""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.known import newest_rows
from recsys.catalogue.parts import list_parts
from recsys.cli import main

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-for-tests-0123456789"
TOPICS = ("running shoe", "frying pan", "garden hose", "desk lamp")
COLOURS = ("Red", "Blue", "Green", "Black", "White", "Grey", "Brown", "Pink", "Violet", "Golden")
ITEMS = [
    {
        "item_id": f"s{n}",
        "title": f"{COLOURS[n % 10]} {TOPICS[n % 4]}, model {n}",
        "tags": ["goods", TOPICS[n % 4]],
        "updated_at": "2026-10-01T00:00:00Z",
    }
    for n in range(1, 41)
]
EVENTS = [
    {
        "user_id": f"u{n % 10}",
        "item_id": f"s{1 + n * 7 % 40}",
        "event": "view",
        "timestamp": f"2026-10-{2 + n % 20:02}T10:00:00Z",
    }
    for n in range(60)
]


class Intake:
    """Land files as a producer would, run commands, look at what is accepted."""

    def __init__(self, at):
        self.at = at
        self.clock = datetime(2026, 11, 1, tzinfo=UTC).timestamp()

    def land(self, key, content, mtime=None):
        """Put a file below the landing zone: bytes, text, or rows as JSON lines; each a second later than the last."""
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        path = self.at.root / "landing" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.clock += 1
        os.utime(path, (mtime or self.clock, mtime or self.clock))
        return path

    def run(self, *arguments, code=0):
        """One command of `recsys`, as a person types it; no traceback may reach that person."""
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.output
        return result

    def ingest(self, *arguments, code=0):
        """What became of each file, by its key; what a person read is in `said`."""
        result = self.run("ingest", "--json", *arguments, code=code)
        self.output = result.stderr
        return {outcome["key"]: outcome for outcome in json.loads(result.stdout)["outcomes"]}

    def items(self):
        """The newest accepted row of each item that is not deleted, by id."""
        tables = [part.rows() for part in list_parts(self.at.data, CATALOGUE)]
        import pyarrow as pa

        rows = newest_rows(pa.concat_tables(tables)).to_pylist() if tables else []
        return {row["item_id"]: row for row in rows if not row["deleted"]}

    def interactions(self):
        """Every accepted interaction."""
        return [row for part in list_parts(self.at.data, INTERACTIONS) for row in part.rows().to_pylist()]

    def quarantined(self):
        """(source, line, reason, detail) of every quarantined row."""
        return [
            (part.arrival.source, row["line"], row["reason"], row["detail"])
            for kind in (CATALOGUE, INTERACTIONS)
            for part in list_parts(self.at.data, kind)
            for row in part.quarantined().to_pylist()
        ]


def opened(workspace, monkeypatch):
    """Intake of a workspace; commands of this process work there."""
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("RECSYS_LANDING", str(workspace.root / "landing"))
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", KEY)
    monkeypatch.setenv("COLUMNS", "200")
    return Intake(workspace)


@pytest.fixture
def empty_intake(workspace, monkeypatch):
    """A workspace in which nothing has landed."""
    return opened(workspace, monkeypatch)


@pytest.fixture(scope="session")
def taken_in(tmp_path_factory):
    """Intake of a workspace that has taken in forty items and sixty views; fixture `intake` copies it."""
    root = tmp_path_factory.mktemp("film_workspace")
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")
    with pytest.MonkeyPatch.context() as patch:
        made = opened(Artifacts(root), patch)
        made.land("catalogue/items.jsonl", ITEMS)
        made.land("interactions/events.jsonl", EVENTS)
        became = made.ingest()
    assert {outcome["status"] for outcome in became.values()} == {"accepted"}
    return made


@pytest.fixture
def intake(empty_intake, taken_in):
    """A workspace of its own that has taken in forty items and sixty views."""
    shutil.copytree(taken_in.at.root, empty_intake.at.root, dirs_exist_ok=True)
    empty_intake.clock, empty_intake.output = taken_in.clock, taken_in.output
    return empty_intake


@pytest.fixture(scope="session")
def prepared(tmp_path_factory, tiny_encoder):
    """The items up to their profiles, with an encoder as small as one can be; each test works on a copy."""
    root = tmp_path_factory.mktemp("prepared") / "workspace"
    root.mkdir()
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["encoder"]["source"] = str(tiny_encoder)
    settings["split"]["min_test_users"] = 3
    (root / "params.yaml").write_text(yaml.safe_dump(settings))
    shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")
    with pytest.MonkeyPatch.context() as patch:
        intake = in_workspace(root, patch)
        intake.land("catalogue/items.jsonl", ITEMS)
        intake.land("interactions/events.jsonl", EVENTS)
        intake.ingest()
        intake.run("fetch-champion")
        for stage in ("features", "profiles@champion", "users"):
            intake.run("run", stage)
    return root


def in_workspace(root, patch):
    for name, value in {
        "RECSYS_WORKSPACE": root,
        "RECSYS_LANDING": root / "landing",
        "RECSYS_STORE": root / "store",
        "RECSYS_PSEUDONYM_KEY": KEY,
    }.items():
        patch.setenv(name, str(value))
    return Intake(Artifacts(root))
