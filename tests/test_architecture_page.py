"""docs/architecture.md says of heavy libraries what import-linter holds."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TAIL = re.compile(r"\.\*+$")


def allowed_by_contracts():
    """Library -> modules that may import it, as `encoders/pack`."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    found = {}
    for contract in config["contracts"]:
        if contract["type"] == "forbidden":
            (library,) = contract["forbidden_modules"]
            importers = [one.split(" -> ")[0] for one in contract.get("ignore_imports", [])]
            found[library] = {
                TAIL.sub("", one).removeprefix("recsys.").replace(".", "/") for one in importers
            }
    return found


def allowed_by_the_page():
    """The same from the page's table."""
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    table = page.split("| library | where |")[1].split("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    found = {}
    for name, where in rows:  # a library may have several rows
        named = set() if "nowhere" in where else set(re.findall(r"`([^`]+)`", where))
        found[name.strip()] = found.get(name.strip(), set()) | named
    return found


def test_the_page_names_for_each_heavy_library_the_modules_that_may_import_it():
    assert allowed_by_the_page() == allowed_by_contracts()


def test_libraries_that_cost_most_are_held():
    assert {
        "torch",
        "faiss",
        "openvino",
        "implicit",
        "sklearn",
        "mlflow",
        "great_expectations",
        "airflow",
        "boto3",
    } <= (allowed_by_contracts().keys())
