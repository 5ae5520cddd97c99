"""A change in code never skips a stage: all that a stage's module imports stands among its deps in dvc.yaml."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
CHANGES_NO_RESULT = {
    "recsys.settings": "the values that a stage reads stand under `params`; bounds change none that they let through",
    "recsys.*.params": "as above",
    "recsys.artifacts": "names paths; another path is another line of dvc.yaml",
    "recsys.errors": "words for people",
    "recsys.progress": "words for people",
    "recsys.storage.atomic": "gives finished files their names",
    "recsys.storage.names": "types of file names, which only refuse",
}
"""Modules that need not be deps, and why. A module that makes numbers or bytes has no place here."""


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("recsys", exclude_type_checking_imports=True, cache_dir=None)


def is_excepted(module):
    return any(fnmatch(module, pattern) for pattern in CHANGES_NO_RESULT)


def file_of(module):
    path = Path(*module.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


def is_empty(module):
    """Whether a package's own file does nothing but say what the package holds."""
    body = ast.parse((ROOT / file_of(module)).read_text("utf-8")).body
    return all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in body)


def closure(graph, module):
    """Modules that `module` imports, directly or not, at its top or within functions; not those behind exceptions."""
    found, todo = {module}, [module]
    while todo:
        for name in graph.find_modules_directly_imported_by(todo.pop()) - found:
            if not is_excepted(name):
                found.add(name)
                todo.append(name)
    return {one for one in found if one != "recsys" and not is_empty(one)}


def covers(dep, module):
    file = str(file_of(module))
    return file == dep or file.startswith(f"{dep}/")


def code_deps(stage):
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith("recsys/")]


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_imports_stands_among_its_deps(graph, stage):
    needed = closure(graph, f"recsys.stages.{stage}")
    missing = [
        str(file_of(one)) for one in sorted(needed) if not any(covers(d, one) for d in code_deps(stage))
    ]
    assert not missing, f"dvc.yaml, stage {stage}: add to deps {', '.join(missing)}"


@pytest.mark.parametrize("stage", STAGES)
def test_no_dep_is_of_code_that_the_stage_does_not_use(graph, stage):
    needed = closure(graph, f"recsys.stages.{stage}")
    idle = [dep for dep in code_deps(stage) if not any(covers(dep, one) for one in needed)]
    assert not idle, f"dvc.yaml, stage {stage}: take from deps {', '.join(idle)}"


def test_a_stage_is_a_module_of_its_name(graph):
    assert {f"recsys.stages.{stage}" for stage in STAGES} <= graph.modules


def test_imports_within_functions_count(graph):
    assert "recsys.retrieval.index_file" in closure(graph, "recsys.stages.index")


@pytest.mark.parametrize("pattern", CHANGES_NO_RESULT)
def test_every_exception_is_of_code_that_there_is(graph, pattern):
    assert any(fnmatch(module, pattern) for module in graph.modules)
