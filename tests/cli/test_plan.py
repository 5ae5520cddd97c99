"""Command `plan` at scale; what it says of a workspace is tested with stage `profiles`."""

import json

import pytest
from click.testing import CliRunner

from recsys.cli import main
from recsys.settings import shipped_params
from tests.planning.test_planning import some_rates


@pytest.fixture
def rates(tmp_path):
    some_rates().save(tmp_path / "rates.json")
    return str(tmp_path / "rates.json")


def planned(tmp_path, *arguments):
    environment = {"RECSYS_WORKSPACE": str(tmp_path)}
    return CliRunner().invoke(main, ["plan", *arguments], env=environment, catch_exceptions=False)


def test_a_plan_needs_no_workspace_and_names_the_first_to_break(tmp_path, rates):
    words = [
        "--items",
        "100e6",
        "--interactions",
        "5e9",
        "--workers",
        "16",
        "--gpus",
        "4",
        "--memory",
        "64",
        "--disk",
        "1000",
    ]
    done = planned(tmp_path, *words, "--rates", rates, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    names = [step["name"] for step in found["steps"]]
    assert names.index("encode") + 1 == names.index("profiles@champion") and names[-1] == "publish"
    assert found["breaks_first"] in names and found["hours"] == sum(step["hours"] for step in found["steps"])
    assert any("4 GPUs" in note for note in found["notes"])
    table = planned(tmp_path, *words, "--rates", rates)
    assert table.exit_code == 0 and f"First to break: {found['breaks_first']}" in table.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--items", "0"], "--items"),
        (["--items", "-5"], "--items"),
        (["--items", "1.5"], "--items"),
        (["--items", "nan"], "--items"),
        (["--items", "many"], "many"),
        (["--items", "1e6", "--workers", "0"], "--workers"),
        (["--items", "1e6", "--interactions", "-1"], "--interactions"),
        (["--items", "1e6", "--memory", "0"], "--memory"),
        (["--items", "1e6", "--gpu-rate", "-1"], "--gpu-rate"),
        (["--items", "1e6", "--tokens", "nan"], "--tokens"),
        (["--items", "1e6", "--role", "champion"], "--role"),
        (["--interactions", "1e6"], "--interactions"),
        (["--measure"], "--measure"),
        (["--workers", "4"], "--workers"),
        (["--memory", "64", "--json"], "--memory"),
    ],
)
def test_nonsense_is_named(tmp_path, arguments, named):
    (tmp_path / "params.yaml").write_text(shipped_params().read_text("utf-8"), "utf-8")
    done = planned(tmp_path, *arguments)
    assert done.exit_code == 2 and named in done.output


def test_a_file_that_holds_no_rates_is_named(tmp_path):
    (tmp_path / "other.json").write_text('{"a": 1}')
    done = planned(tmp_path, "--items", "1e6", "--rates", str(tmp_path / "other.json"))
    assert done.exit_code == 1 and "other.json holds no rates" in done.output


def test_a_gpu_is_measured_with_texts_and_in_the_precision_of_the_plan(tmp_path, rates, monkeypatch):
    asked = []

    def measured(params, encoders, device, tokens):
        asked.append((params.precision, device, tokens))
        return 1000.0

    monkeypatch.setattr("recsys.encoders.runtime.has_cuda", lambda: True)
    monkeypatch.setattr("recsys.encoders.rates.texts_per_s", measured)
    words = [
        "--items",
        "3.6e6",
        "--gpus",
        "1",
        "--tokens",
        "200",
        "--precision",
        "bfloat16",
        "--rates",
        rates,
    ]
    done = planned(tmp_path, *words, "--json")
    assert done.exit_code == 0, done.output
    assert asked == [("bfloat16", "cuda", 200)]
    (encode,) = (step for step in json.loads(done.stdout)["steps"] if step["name"] == "encode")
    assert encode["hours"] == pytest.approx(1)
