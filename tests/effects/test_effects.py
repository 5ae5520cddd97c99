"""EFFECTS names what commands do, and every command of a DAG that is no stage is one of them."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import click
import pytest

from recsys.cli import main
from recsys.effects import EFFECTS

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("states", "workspaces", "finding", "machine_checks", "storage_checks", "forget_states")
"""Modules that are no effect, but parts of some."""


def command(name: str) -> click.Command:
    """The command behind a name of EFFECTS, such as `workspace make`."""
    found: click.Command | None = main
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(main), word)
        assert found is not None, name
    return found


def identifier(name: str) -> str:
    """Name of an effect's module and function, such as `workspace_make`."""
    return re.sub("[ -]", "_", name)


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_a_documented_function_of_its_name_which_its_command_imports(name):
    function = getattr(import_module(f"recsys.effects.{identifier(name)}"), identifier(name))
    assert inspect.getdoc(function)
    callback = command(name).callback
    assert callback is not None
    imported = rf"from recsys\.effects\.{identifier(name)} import .*\b{identifier(name)}\b"
    assert re.search(imported, inspect.getsource(inspect.getmodule(callback)))


def test_every_module_is_an_effect_or_a_part_of_some():
    modules = {path.stem for path in (ROOT / "recsys/effects").glob("*.py")}
    assert modules == {identifier(name) for name in EFFECTS} | {"__init__", *SHARED}


def test_every_effect_of_a_dag_is_named():
    words = re.compile(r"effect\(\s*\"([a-z -]+?)(?: --[^\"]*)?\"")
    files = [*(ROOT / "dags").glob("*.py"), ROOT / "plugins/slow_loop.py"]
    used = {name.strip() for file in files for name in words.findall(file.read_text("utf-8"))}
    assert {"arrive", "register", "workspace make"} <= used
    assert used <= set(EFFECTS)


def test_no_effect_knows_the_command_line():
    for file in (ROOT / "recsys/effects").glob("*.py"):
        text = file.read_text("utf-8")
        assert "import click" not in text and "rich" not in re.findall(r"(?:from|import) (\w+)", text), file
