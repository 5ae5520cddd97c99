"""Against a real MLflow server."""

import os
import signal
import subprocess
import sys
import time
from uuid import uuid4

import pytest

from recsys.errors import RegistryError, RegistryUnreachable
from recsys.registry import mlflow
from recsys.registry.http import version_at, without_credentials
from recsys.registry.record import RunRecord, record_of
from recsys.registry.registering import register_folder
from recsys.registry.runs import flatten
from tests.registry.judged import by_hand, client_of

pytestmark = pytest.mark.servers

NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
def packed(tmp_path):
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "model.xml").write_text("<net/>")
    (folder / "model.bin").write_bytes(bytes(range(256)) * 400)
    return folder


def record(**changes):
    return RunRecord(**{"code_commit": "c0ffee", "params": {"gate": {"k": 20}, "seed": 7}, **changes})


def test_a_registry_without_the_model_has_no_champion_and_no_versions(mlflow_server, model):
    assert mlflow.champion(mlflow_server, model) is None
    assert mlflow.versions(mlflow_server, model) == ()


def test_a_registered_encoder_is_not_champion_until_it_has_the_alias(mlflow_server, model, packed):
    encoder_hash = uuid4().hex
    made = register_folder(mlflow_server, encoder_hash, packed, record(), model)
    assert (made.model, made.version, made.hash) == (model, "1", encoder_hash)
    assert mlflow.champion(mlflow_server, model) is None
    by_hand(mlflow_server, model, "champion", made.version)
    assert mlflow.champion(mlflow_server, model) == made


def test_the_files_come_back_as_they_went(mlflow_server, model, packed, tmp_path):
    made = register_folder(mlflow_server, uuid4().hex * 2, packed, record(), model)
    there = mlflow.download(mlflow_server, made, tmp_path / "cache") / made.folder
    assert sorted(path.name for path in there.iterdir()) == ["model.bin", "model.xml"]
    assert (there / "model.bin").read_bytes() == (packed / "model.bin").read_bytes()


def test_registering_twice_gives_one_version_and_one_run(mlflow_server, model, packed):
    encoder_hash = uuid4().hex
    first = register_folder(mlflow_server, encoder_hash, packed, record(), model)
    assert register_folder(mlflow_server, encoder_hash, packed, record(), model) == first
    assert mlflow.versions(mlflow_server, model) == (first,)


def test_versions_come_oldest_first_by_number(mlflow_server, model, packed):
    for _ in range(11):
        register_folder(mlflow_server, uuid4().hex, packed, record(), model)
    assert [found.version for found in mlflow.versions(mlflow_server, model)] == [
        str(n) for n in range(1, 12)
    ]


def test_the_run_holds_params_metrics_texts_files_and_commit(mlflow_server, model, packed, tmp_path):
    plot = tmp_path / "recall.csv"
    plot.write_text("k,recall\n20,0.4\n")
    made = register_folder(
        mlflow_server,
        uuid4().hex,
        packed,
        record(
            metrics={"cold/recall@20": 0.4},
            texts={"data.dvc": "outs:\n- md5: 1\n", "dvc.lock": "schema: '2.0'\n"},
            files={"plots/recall@20.csv": plot},
        ),
        model,
    )
    run = client_of(mlflow_server).get_run(made.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"gate.k": "20", "seed": "7"}
    assert run.data.metrics == {"cold/recall_at_20": 0.4}
    assert run.data.tags["code_commit"] == "c0ffee"
    artifacts = {found.path for found in client_of(mlflow_server).list_artifacts(made.run_id)}
    assert artifacts == {"data.dvc", "dvc.lock", "plots", "model"}
    (plotted,) = client_of(mlflow_server).list_artifacts(made.run_id, "plots")
    assert plotted.path == "plots/recall@20.csv"


def test_a_release_gets_one_run_however_often_it_is_recorded(mlflow_server):
    release = f"000001-{uuid4().hex[:10]}"
    first = mlflow.record_release(mlflow_server, release, record(texts={"manifest.json": "{}"}))
    assert mlflow.record_release(mlflow_server, release, record()) == first


def test_killed_anywhere_and_run_again_there_is_one_version_and_one_run(mlflow_server, model, packed):
    """Kills a registering process at moments spread over its whole way, then lets one finish."""
    encoder_hash = uuid4().hex
    program = f"""
import sys
from pathlib import Path
import mlflow.tracking  # before READY: the kills shall hit the work, not the import
from recsys.registry.record import RunRecord
from recsys.registry.registering import register_folder
sys.stdout.write("READY")
sys.stdout.flush()
record = RunRecord("c0ffee", {{"seed": 7}})
register_folder({mlflow_server!r}, {encoder_hash!r}, Path({str(packed)!r}), record, {model!r})
"""
    for delay_s in (0.0, 0.1, 0.25):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.read(5) == b"READY"
            time.sleep(delay_s)
            os.kill(process.pid, signal.SIGKILL)
    made = register_folder(mlflow_server, encoder_hash, packed, record(), model)
    assert mlflow.versions(mlflow_server, model) == (made,)
    client = client_of(mlflow_server)
    experiment = client.get_experiment_by_name(mlflow.ENCODERS_EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], f"tags.encoder_hash = '{encoder_hash}'")
    assert [run.info.run_id for run in runs] == [made.run_id]
    assert runs[0].info.status == "FINISHED"


def test_a_version_that_somebody_else_made_is_no_champion_of_ours(mlflow_server, model, packed):
    client = client_of(mlflow_server)
    client.create_registered_model(model)
    run = client.create_run(client.create_experiment(uuid4().hex))
    foreign = client.create_model_version(model, f"{run.info.artifact_uri}/model", run.info.run_id)
    client.set_registered_model_alias(model, "champion", foreign.version)
    with pytest.raises(RegistryError, match=r"version 1 of .* has no tag encoder_hash"):
        mlflow.champion(mlflow_server, model)


def test_an_address_that_is_no_server_is_refused(model):
    with pytest.raises(RegistryError, match=r"sqlite:///m\.db is not an address of a server"):
        mlflow.champion("sqlite:///m.db", model)


def test_a_server_that_is_down_is_noticed_in_seconds_and_named_without_its_password(model, packed):
    began = time.monotonic()
    with pytest.raises(RegistryUnreachable, match="127.0.0.1:9") as caught:
        mlflow.champion("http://me:hush@127.0.0.1:9", model)
    with pytest.raises(RegistryUnreachable, match="remedy: start MLflow"):
        register_folder(NOBODY, uuid4().hex, packed, record(), model)
    with pytest.raises(
        RegistryUnreachable, match="127.0.0.1:9"
    ) as raised:  # here MLflow's own words name the address
        mlflow.versions("http://me:hush@127.0.0.1:9", model)
    assert "hush" not in str(caught.value) and "hush" not in str(raised.value)
    assert time.monotonic() - began < 20


def test_an_address_that_is_no_mlflow_is_refused(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        try:
            with pytest.raises(RegistryUnreachable, match="HTTP 404"):
                version_at(f"http://127.0.0.1:{port}", "model", "champion")
        finally:
            server.kill()


def test_an_address_is_shown_without_its_credentials():
    assert without_credentials("https://me:hush@host:1/x?y=1") == "https://host:1/x?y=1"
    assert without_credentials("http://host") == "http://host"


def test_sections_become_dotted_keys():
    assert flatten({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}


def test_the_record_of_a_workspace_holds_what_is_there(workspace, monkeypatch):
    monkeypatch.setenv("RECSYS_CODE_COMMIT", "abc")
    (workspace.root / "data.dvc").write_text("outs: []\n")
    found = record_of(workspace, metrics={"x": 1.0}, files={"plots": workspace.root / "none"})
    assert found.code_commit == "abc"
    assert set(found.texts) == {"params.yaml", "data.dvc"}
    assert found.params["users"]["ridge_lambda"] == 10.0
    assert found.files == {}
    monkeypatch.delenv("RECSYS_CODE_COMMIT")
    assert len(record_of(workspace).code_commit.removesuffix("-dirty")) == 40
