import subprocess
import sys

import pytest
from click.testing import CliRunner

from recsys.cli import COMMANDS, main

HEAVY = (
    "torch",
    "transformers",
    "openvino",
    "faiss",
    "great_expectations",
    "mlflow",
    "dvc.repo",
    "airflow",
    "sklearn",
)


def test_importing_every_command_loads_no_heavy_library():
    modules = sorted({f"recsys.cli.{module}" for module, _ in COMMANDS.values()})
    code = f"import sys, {', '.join(modules)}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0 and len(result.output.splitlines()) > 4


def test_a_deliberate_error_is_shown_without_a_traceback_and_exits_one(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_WORKSPACE", str(tmp_path))
    result = CliRunner().invoke(main, ["run", "features"])
    assert result.exit_code == 1
    assert "ConfigError" in result.output and "remedy" in result.output and "Traceback" not in result.output
