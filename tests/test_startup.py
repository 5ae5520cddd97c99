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
    assert others <= {
        "recsys.catalogue.folding",
        "recsys.catalogue.kinds",
        "recsys.dataset.trait_names",
        "recsys.publishing.withheld",
    }


@pytest.mark.parametrize(
    "package", ["catalogue", "encoders", "publishing", "registry", "retrieval", "storage"]
)
def test_a_room_loads_only_what_is_imported_from_it(package):
    code = f"import recsys.{package}"
    assert loaded(code) == set() and rooms(code) == {f"recsys.{package}"}


def test_status_loads_no_pandas(workspace):
    code = f"import os; os.chdir({str(workspace.root)!r})" + CLI.format(arguments=["status"])
    assert "pandas" not in loaded(code)


ARROW = """
import pyarrow as pa, pyarrow.compute as pc
table = pa.table({"n": pa.array([2, 1, 2])})
print(table["n"].to_numpy().sum(), table.sort_by("n")["n"].to_pylist(), pc.unique(table["n"]).to_numpy())
"""
WITHOUT = "from recsys.importing import without_pandas\nwith without_pandas():\n    exec(ARROW)\n"


def test_arrow_works_without_pandas_and_brings_it_otherwise():
    assert "pandas" not in loaded(f"ARROW = {ARROW!r}\n{WITHOUT}")
    assert "pandas" in loaded(ARROW), "pyarrow leaves pandas alone by itself now: without_pandas can go"


def test_pandas_is_there_again_afterwards():
    use = "import pyarrow as pa\nassert pa.table({'n': [1, 2]}).to_pandas()['n'].sum() == 3\n"
    assert "pandas" in loaded(f"ARROW = {ARROW!r}\n{WITHOUT}{use}")
