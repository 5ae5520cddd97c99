"""What starting a command loads, held as lists: a heavy import in the wrong place fails here and names itself."""

import subprocess
import sys

import pytest

PRELUDE = "import sys; before = set(sys.modules)\n"
REPORT = """
names = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(*sorted(name for name in names if not name.startswith("_") and name != "cython_runtime"))
"""
CLI = """
from recsys.cli import main
sys.argv = ["recsys", *{arguments}]
try:
    main()
except SystemExit as done:
    assert done.code == 0, done.code
"""
SETTINGS = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection", "yaml"}
"""What reading params.yaml needs, and what that brings along."""


def loaded(code: str) -> set[str]:
    """Top-level packages outside the standard library that a fresh Python loads to run `code`."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code + REPORT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()) - {"recsys"}


def rooms(code: str) -> set[str]:
    """The modules of Firstlight that a fresh Python loads to run `code`."""
    show = '\nprint(*(name for name in sys.modules if name.startswith("recsys.")))'
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code + show], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def test_import_recsys_loads_nothing_else():
    assert loaded("import recsys") == set() and rooms("import recsys") == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["status", "--help"], ["ingest", "--help"], ["run", "--help"]]
)
def test_help_loads_click_alone(arguments):
    assert loaded(CLI.format(arguments=arguments)) == {"click"}


def test_settings_load_params_and_no_code_of_a_room():
    code = "import recsys.settings"
    assert loaded(code) <= SETTINGS
    others = {name for name in rooms(code) if name.count(".") > 1 and not name.endswith(".params")}
    assert others <= {"recsys.catalogue.folding"}


@pytest.mark.parametrize(
    "package", ["catalogue", "encoders", "publishing", "registry", "retrieval", "storage"]
)
def test_a_room_loads_only_what_is_imported_from_it(package):
    code = f"import recsys.{package}"
    assert loaded(code) == set() and rooms(code) == {f"recsys.{package}"}
