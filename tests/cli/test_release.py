"""Commands around a release, as a person or a script types them, on a small workspace and a folder store."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from recsys.artifacts import Artifacts
from recsys.cli import main
from recsys.models.reference import ModelReference
from tests.publishing.film_workspace import FILMS, HER, UP, FilmWorkspace, tiny_model

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def film_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FilmWorkspace:
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("RECSYS_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("RECSYS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("RECSYS_LANDING", str(tmp_path / "landing"))
    made = FilmWorkspace(tmp_path / "workspace", tiny_model(tmp_path / "cache" / "encoders"))
    # The tiny encoder cannot be opened, so nothing is asked of it.
    made.at.params.write_text(made.at.params.read_text().replace("smoke_queries: 8", "smoke_queries: 0"))
    made.items(FILMS)
    made.ratings([("ann", "alien"), ("bob", "babe")])
    return made.build()


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


def answer(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_publish_says_what_it_did_and_does_it_once(film_workspace: FilmWorkspace) -> None:
    first = answer("publish")
    assert (first["outcome"], first["segments"], first["rebased"]) == ("published", 1, False)
    assert len(first["parts"]) == 2
    again = answer("publish")
    assert (again["outcome"], again["release"]) == ("unchanged", first["release"])
    assert "has this content already" in run("publish").stderr


def test_an_arrival_waits_for_the_next_run_when_another_encoder_was_published(
    film_workspace: FilmWorkspace, tmp_path: Path
) -> None:
    run("publish")
    old = film_workspace.model
    film_workspace.set_model(tiny_model(tmp_path / "cache" / "encoders", "second"))
    film_workspace.build()
    assert "OtherModel" in run("publish", code=1).stderr
    new = answer("publish", "--new-encoder")["release"]
    film_workspace.set_model(old)
    film_workspace.items(UP, day=1)
    film_workspace.build()
    assert new in run("publish", "--skip-code", code=99).stderr
    fetched = answer("fetch-champion", "--published")
    assert fetched["hash"] != old.hash
    film_workspace.set_model(ModelReference(**fetched))
    film_workspace.build()
    assert answer("publish", "--skip-code")["outcome"] == "published"


def test_a_release_is_used_from_the_command_line(film_workspace: FilmWorkspace, tmp_path: Path) -> None:
    release = answer("publish")["release"]
    liked = answer("recommend", "--pseudonym", "ann", "-k", "3")
    assert liked["release"] == release
    assert len(liked["items"]) == 3 and "alien" not in {one["item_id"] for one in liked["items"]}
    assert answer("recommend", "--history", "alien", "-k", "3")["items"] == liked["items"]
    assert "alien" in {
        i["item_id"] for i in answer("recommend", "--pseudonym", "ann", "-k", "99", "--with-seen")["items"]
    }
    assert len(answer("similar", "heat", "-k", "4")["items"]) == 4
    assert all(one["title"] for one in liked["items"])
    table = run("similar", "jaws", "-k", "9").stderr
    assert "heat" in table and answer("similar", "jaws", "-k", "1")["items"][0]["title"][:8] in table
    out = tmp_path / "profiles.parquet"
    assert answer("export", "--out", str(out)) == {"release": release, "rows": len(FILMS), "file": str(out)}
    assert pq.read_table(out).num_rows == len(FILMS)
    assert answer("trace", "heat")["source"] == "films-0.jsonl"
    assert "films-0.jsonl" in run("trace", "heat").stderr


def test_unknown_things_end_in_a_sentence_and_exit_code_1(film_workspace: FilmWorkspace) -> None:
    assert "recsys publish" in run("recommend", "--pseudonym", "ann", code=1).stderr
    run("publish")
    assert "UnknownItem: item 'nope'" in run("similar", "nope", code=1).stderr
    assert "recsys releases" in run("rollback", "000099-0123456789", "--why", "x", code=1).stderr
    run("recommend", code=2)
    run("similar", code=2)


def test_rollback_hold_resume_and_the_list(film_workspace: FilmWorkspace) -> None:
    first = answer("publish")["release"]
    film_workspace.items(UP, day=1)
    film_workspace.build()
    second = answer("publish")["release"]
    pointer = answer("rollback", "previous", "--why", "titles are wrong", "--who", "eve")
    assert (pointer["release"], pointer["hold"]["who"]) == (first, "eve")
    assert "on hold: titles are wrong (eve)" in run("status").stderr
    film_workspace.items(HER, day=2)
    film_workspace.build()
    assert answer("publish")["outcome"] == "held"
    listed = answer("releases")
    assert [one["is_current"] for one in listed] == [False, False, True]
    assert [one["release"] for one in listed][1:] == [second, first]
    assert all(one["in_line"] for one in listed)
    assert "held" in run("releases").stderr
    assert answer("resume", "--why", "mended")["release"] == listed[0]["release"]
    assert "no hold" in run("resume").stderr


def test_who_acts_may_come_from_the_environment_and_a_repeated_rollback_steps_back_once(
    film_workspace: FilmWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, titles in enumerate((UP, HER)):
        answer("publish")
        film_workspace.items(titles, day=day)
        film_workspace.build()
    answer("publish")
    monkeypatch.setenv("RECSYS_WHO", "Airflow run 7")
    first = answer("rollback", "previous", "--why", "bad")
    assert first["by"] == "Airflow run 7"
    assert answer("rollback", "previous", "--why", "bad") == first
    assert answer("rollback", "previous", "--why", "worse")["release"] != first["release"]


def test_compact_merges_and_the_next_release_has_one_segment(film_workspace: FilmWorkspace) -> None:
    run("publish")
    film_workspace.items(UP, day=1)
    film_workspace.build()
    run("publish")
    assert answer("compact") == []  # no more than compact.max_parts
    merged = answer("compact", "--force")
    assert [(one["kind"], len(one["merges"])) for one in merged] == [("catalogue", 2)]
    film_workspace.build()
    done = answer("publish")
    assert (done["outcome"], done["segments"]) == ("published", 1)
    assert len(done["parts"]) == 3
    assert answer("trace", "up")["source"] == "films-1.jsonl"
    assert answer("compact", "--force") == []


def test_collect_reports(film_workspace: FilmWorkspace) -> None:
    run("publish")
    assert answer("collect") == {"releases": [], "n_objects": 0, "n_bytes": 0}


def test_a_registry_that_is_down_undoes_no_publish(
    film_workspace: FilmWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = run("publish")
    assert "warning" in result.stderr and "the release stands" in result.stderr
    assert answer("releases")[0]["is_current"]


@pytest.mark.servers
def test_a_run_that_mlflow_missed_is_made_by_the_next_publish(
    film_workspace: FilmWorkspace, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # as if killed between the swap and the run
    release = answer("publish")["release"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    client = MlflowClient(mlflow_server)
    for _ in range(2):
        assert answer("publish")["outcome"] == "unchanged"
        experiment = client.get_experiment_by_name("releases").experiment_id
        assert len(client.search_runs([experiment], f"tags.release = '{release}'")) == 1


def test_status_tells_what_waits_what_is_served_and_what_failed(
    film_workspace: FilmWorkspace, tmp_path: Path
) -> None:
    empty = answer("status")
    assert (empty["pending"], empty["release"], empty["last_failure"]) == ([], None, None)
    assert len(empty["unpublished"]) == 2
    run("publish")
    landed = tmp_path / "landing" / "catalogue" / "new.jsonl"
    landed.parent.mkdir(parents=True)
    landed.write_text("{}\n")
    failure = {
        "dag": "profile_arrivals",
        "task": "publish",
        "run": "r1",
        "sent_at": "2026-01-01",
        "remedy": "mend",
    }
    (film_workspace.at.var / "last_failure.json").write_text(json.dumps(failure))
    found = answer("status")
    assert [one["file"] for one in found["pending"]] == ["catalogue/new.jsonl"]
    assert found["unpublished"] == []
    assert found["release"]["item_rows"] == len(FILMS)
    shown = run("status").stderr
    for words in (
        "catalogue/new.jsonl",
        "profile_arrivals, publish, r1",
        "mend",
        found["release"]["release"],
    ):
        assert words in shown


def test_status_shows_a_store_that_is_out_of_reach_beside_everything_else(
    film_workspace: FilmWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "RECSYS_STORE": "s3://bucket/store",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    found = answer("status")
    assert "AWS_ENDPOINT_URL" in found["release"]["error"]
    assert found["pending"] == []


MADE = "{persist: true}"
BEFORE = f"artifacts/features: {MADE}"
NOW = f"{BEFORE}, artifacts/details: {MADE}"


def write_stage(root: Path, outs: str) -> None:
    """A dvc.yaml whose stage `features` makes these."""
    stage = f"{{cmd: python -m recsys run features, deps: [data], outs: [{outs}]}}"
    (root / "dvc.yaml").write_text(f"stages:\n  features: {stage}\n")


@pytest.mark.whole
@pytest.mark.parametrize("outs", [NOW, BEFORE], ids=["now", "before there were details"])
def test_data_and_features_of_a_release_come_back_from_the_remote(
    film_workspace: FilmWorkspace, tmp_path: Path, outs: str
) -> None:
    """Into a new folder that shares nothing with the workspace but the remote."""
    root = film_workspace.at.root
    write_stage(root, outs)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def dvc(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments, "-q"], cwd=root, env=environment, check=True)

    dvc("init", "--no-scm")
    dvc("remote", "add", "-d", "kept", "../../remote")  # as .dvc/config says it: relative to .dvc/
    dvc("add", "data")
    dvc("repro", "features")
    release = answer("publish")["release"]
    write_stage(root, NOW)
    elsewhere = Artifacts(tmp_path / "elsewhere")
    run("restore", release, "--to", str(elsewhere.root))
    for made, found in (
        (film_workspace.at.features, elsewhere.features),
        (film_workspace.at.details, elsewhere.details),
    ):
        if outs == NOW:
            kept = {path.name: path.read_bytes() for path in made.iterdir()}
            assert {path.name: path.read_bytes() for path in found.iterdir()} == kept
        else:  # stage `features` makes them again from the data
            assert not found.exists()
    assert sorted(p.name for p in elsewhere.data.iterdir()) == ["catalogue", "interactions"]
    assert "is not empty" in run("restore", release, "--to", str(elsewhere.root), code=1).stderr
    film_workspace.items(UP, day=1)
    assert "are not published" in run("restore", release, code=1).stderr
