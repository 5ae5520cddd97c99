"""`recsys fetch-champion`, run as a person runs it; `register`, `promote` and `ledger` against a real MLflow server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.cli import main
from recsys.effects.fetch_champion import catalogue_texts
from recsys.models.reference import ModelReference
from recsys.profiles.items import list_segments
from recsys.registry.mlflow import champion
from recsys.settings import Settings
from tests.registry.judged import Trained

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def at(workspace, tiny_encoder):
    params = yaml.safe_load(workspace.params.read_text("utf-8"))
    params["encoder"] |= {"source": str(tiny_encoder), "max_tokens": 32}
    workspace.params.write_text(yaml.safe_dump(params), "utf-8")
    return workspace


def fetch(at, *options, **environment):
    return subprocess.run(
        [sys.executable, "-m", "recsys", "fetch-champion", *options],
        env=os.environ | {"RECSYS_WORKSPACE": str(at.root)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.whole
def test_without_a_registry_it_packs_the_pretrained_encoder_and_says_so(at):
    done = fetch(at, "--json")
    assert done.returncode == 0, done.stderr
    reference = ModelReference.load(at.model_reference("champion"))
    assert json.loads(done.stdout) == reference.model_dump(mode="json")
    assert "MLFLOW_TRACKING_URI is not set" in done.stderr
    before = at.model_reference("champion").stat().st_mtime_ns
    assert fetch(at).returncode == 0
    assert at.model_reference("champion").stat().st_mtime_ns == before
    down = fetch(
        at, MLFLOW_TRACKING_URI="http://127.0.0.1:9"
    )  # fetched once: a registry that is down stops nothing
    assert down.returncode == 0 and "warning: using the champion fetched last" in down.stderr


def test_a_registry_that_is_down_at_first_light_is_an_error_with_a_remedy(at):
    done = fetch(at, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "RegistryUnreachable: MLflow at http://127.0.0.1:9" in done.stderr and "remedy:" in done.stderr


def test_first_light_is_made_from_every_live_text_of_the_catalogue(at):
    rows = [
        {"item_id": "a", "title": "Amber", "deleted": False},
        {"item_id": "b", "title": "Birch", "deleted": False},
        {"item_id": "c", "title": None, "deleted": True},
    ]
    import pyarrow as pa

    blank = dict.fromkeys(CATALOGUE_SCHEMA.names)
    full = [blank | row | {"part": "000001-0123456789", "line": n} for n, row in enumerate(rows, 1)]
    arrival = Arrival(
        part="000001-0123456789",
        kind=CATALOGUE,
        source="a.csv",
        sha256="0" * 64,
        size=1,
        arrived_at="2026-01-01T00:00:00Z",
    )
    write_part(at.staging, at.data, arrival, pa.Table.from_pylist(full, CATALOGUE_SCHEMA))
    assert list(catalogue_texts(at, Settings.load(at.params))) == ["Amber", "Birch"]


def test_the_published_model_comes_with_its_profiles_on_request(workspace, tmp_path, monkeypatch):
    store = shutil.copytree(ROOT / "tests/fixtures/releases/6/store", tmp_path / "store")
    for name, value in (("WORKSPACE", workspace.root), ("STORE", store), ("CACHE", tmp_path / "cache")):
        monkeypatch.setenv(f"RECSYS_{name}", str(value))
    assert CliRunner().invoke(main, ["fetch-champion", "--published"]).exit_code == 0
    # arrivals train nothing: a teacher is named with the registry's champion alone, whose training is on record
    assert not (workspace.root / "artifacts/teacher.json").exists()
    assert not workspace.profiles("champion").exists()
    done = CliRunner().invoke(main, ["fetch-champion", "--published", "--profiles"])
    assert done.exit_code == 0 and "2 segments are the published ones" in done.stderr
    segments = list_segments(workspace.profiles("champion"))
    assert [len(segment.rows()) for segment in segments] == [48, 15]
    indexes = json.loads((workspace.index / "index.json").read_text())
    assert [entry["segment"] for entry in indexes] == [segment.name for segment in segments]
    assert (workspace.index / indexes[0]["file"]).is_file()


@pytest.fixture
def recsys(mlflow_server, workspace, monkeypatch):
    """Runs a command in the workspace, with the registry in the environment."""
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("RECSYS_WHO", "Airflow run-7")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    return lambda *words: CliRunner().invoke(main, list(words))


@pytest.mark.servers
def test_register_promote_and_ledger_from_a_closed_gate_to_a_forced_one(recsys, mlflow_server, workspace):
    current = champion(mlflow_server)
    model_hash = Trained(workspace).challenge(
        "by command", reasons=("worse on warm items",), champion=current.hash if current else "a" * 64
    )
    made = json.loads(recsys("register", "--json").stdout)
    assert made["model_hash"] == model_hash and made["moved"] and made["alias"] == "challenger"
    assert not json.loads(recsys("register", "--json").stdout)["moved"]
    dry_run = recsys("promote", "--dry-run")
    assert dry_run.exit_code == 99 and "worse on warm items" in dry_run.stderr
    closed = recsys("promote")
    assert closed.exit_code == 99 and closed.stdout == ""
    assert "worse on warm items" in closed.stderr and "--force --why TEXT" in closed.stderr
    forced = recsys("promote", "--force", "--why", "the buyers asked for it", "--json")
    assert forced.exit_code == 0 and json.loads(forced.stdout)["entry"]["how"] == "forced"
    assert "is champion already" in recsys("promote").stderr
    last = json.loads(recsys("ledger", "--json").stdout)[-1]
    expected = {
        "alias": "champion",
        "how": "forced",
        "who": "Airflow run-7",
        "why": "the buyers asked for it",
    }
    assert expected.items() <= last.items() and last["version"] == made["version"]
    assert "forced" in recsys("ledger").stderr
    workspace.decision.unlink()
    fetched = recsys("fetch-champion", "--verdict", "--json")
    assert fetched.exit_code == 0 and json.loads(fetched.stdout)["hash"] == model_hash
    assert json.loads(workspace.decision.read_bytes())["model_hash"] == model_hash
    assert recsys("fetch-champion", "--verdict", "--published").exit_code == 2


def test_forcing_a_dry_run_makes_no_sense():
    done = CliRunner().invoke(main, ["promote", "--force", "--why", "because", "--dry-run"])
    assert done.exit_code == 2 and "contradict" in done.stderr


@pytest.mark.parametrize("words", [["--force"], ["--why", "because"], ["--force", "--why", " "]])
def test_force_and_its_reason_belong_together(words):
    done = CliRunner().invoke(main, ["promote", *words])
    assert done.exit_code == 2 and "--force and --why TEXT belong together" in done.stderr


def test_without_a_registry_the_commands_say_which_variable_is_missing(workspace, monkeypatch):
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    for command in ("register", "promote", "ledger"):
        done = CliRunner().invoke(main, [command])
        assert done.exit_code == 1 and "MLFLOW_TRACKING_URI is not set" in done.stderr


def test_without_a_registry_or_a_release_there_is_no_champion_to_publish(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    monkeypatch.setenv("RECSYS_STORE", str(tmp_path / "store"))
    done = CliRunner().invoke(main, ["champion", "--skip-code", "--json"])
    assert done.exit_code == 99 and json.loads(done.stdout) == {"to_publish": False}
    assert CliRunner().invoke(main, ["champion"]).exit_code == 0


def test_a_webhook_needs_the_secret(workspace, monkeypatch):
    monkeypatch.setenv("RECSYS_WORKSPACE", str(workspace.root))
    done = CliRunner().invoke(main, ["webhook", "http://127.0.0.1:9/"])
    assert done.exit_code == 1 and "RECSYS_WEBHOOK_SECRET is not set" in done.stderr
