"""What `pip install .` brings suffices to read releases, and whatever the code imports is asked for by name."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import grimp
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RELEASE = ROOT / "tests/fixtures/releases/6/store"
FENCE = """
import sys
from importlib.abc import MetaPathFinder

fenced = set(sys.argv[1].split())

class Fence(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if path is None and top in fenced:
            raise ModuleNotFoundError(f"No module named {top!r}: it is not among what pip install . brings", name=top)

sys.meta_path.insert(0, Fence())
"""
READ = f"""{FENCE}
from recsys import Release

store, cache = sys.argv[2:]
release = Release.open(store, cache=cache)
assert release.verify() > 5
item, user = release.items[0], release.users[0]
assert len(release.recommend(pseudonym=user, k=5)) == len(release.recommend(history=[item], k=5)) == 5
assert release.similar(item, 3) and release.search("<b>ban</b> bel &amp; bir", 3)
release.export(cache + "/profiles.parquet")
print("read")
"""


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def brought(requirements):
    """Names of the distributions that an installer brings for these requirements here."""
    found, todo = set(), [Requirement(one) for one in requirements]
    while todo:
        wanted = todo.pop()
        name = canonical(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) in found:
                continue
            found.add((name, extra))
            needs = map(Requirement, distribution(name).requires or ())
            todo += [one for one in needs if one.marker is None or one.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def others_than(requirements):
    """Top-level modules of this environment that an installer would not bring for these requirements."""
    kept, owners = brought(requirements) | {"firstlight-recsys"}, packages_distributions()
    return {module for module, some in owners.items() if not {canonical(one) for one in some} & kept}


def read_without(modules, cache):
    command = [sys.executable, "-c", READ, " ".join(sorted(modules)), str(RELEASE), str(cache)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_pip_install_brings_suffices_to_read_a_release(tmp_path):
    fenced = others_than(PROJECT["dependencies"])
    assert {"torch", "airflow", "mlflow", "dvc", "great_expectations", "transformers", "pandas"} <= fenced
    done = read_without(fenced, tmp_path)
    assert done.returncode == 0 and done.stdout == "read\n", done.stderr


def test_without_one_of_these_packages_it_does_not_suffice(tmp_path):
    fewer = [one for one in PROJECT["dependencies"] if not one.startswith("openvino")]
    done = read_without(others_than(fewer), tmp_path)
    assert done.returncode != 0 and "No module named 'openvino'" in done.stderr


COMMAND = f"""{FENCE}
from recsys.cli import main

main(sys.argv[2:])
"""


def command_of_a_reader(command, workspace):
    """Run a command where only what a reader of releases needs is installed."""
    fenced = " ".join(sorted(others_than(PROJECT["dependencies"])))
    environment = os.environ | {
        "RECSYS_WORKSPACE": str(workspace),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [sys.executable, "-c", COMMAND, fenced, command],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_command_that_needs_an_extra_names_it_and_shows_no_traceback(tmp_path):
    done = command_of_a_reader("ledger", tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "is not installed" in done.stderr and "firstlight-recsys[train]" in done.stderr


def test_the_state_of_a_workspace_is_shown_to_readers_too(tmp_path):
    done = command_of_a_reader("status", tmp_path)
    assert done.returncode == 0 and "current release" in done.stderr


def asked_for(*extras):
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][one] for one in extras)]
    return {canonical(Requirement(one).name) for some in lists for one in some}


@pytest.mark.parametrize("package", ["recsys", "localplatform", "demo"])
def test_every_package_that_is_imported_is_asked_for_by_its_own_name(package):
    names = {"recsys", "localplatform", "demo"}
    graph = grimp.build_graph(*sorted(names), include_external_packages=True, cache_dir=None)
    extras = ("train", "serve", "ray") if package == "recsys" else ("train", "platform")
    owners = packages_distributions()
    known = asked_for(*extras)
    for module in graph.find_descendants(package) | {package}:
        for imported in graph.find_modules_directly_imported_by(module):
            if graph.is_module_squashed(imported) and imported not in sys.stdlib_module_names:
                found = {canonical(one) for one in owners.get(imported, [imported])}
                assert found & known, f"{module} imports {imported}: name it in pyproject.toml"


def test_lower_bounds_hold_in_this_environment():
    extras = PROJECT["optional-dependencies"]
    for one in (*PROJECT["dependencies"], *extras["train"], *extras["serve"], *extras["ray"]):
        wanted = Requirement(one)
        assert wanted.specifier.contains(distribution(wanted.name).version), one


def test_types_travel_with_the_package():
    assert (ROOT / "recsys/py.typed").exists()
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "py.typed" in config["tool"]["setuptools"]["package-data"]["recsys"]
