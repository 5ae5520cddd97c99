"""EFFECTS names what commands do, and every command of a DAG that is no stage is one of them."""

import inspect
import re
from pathlib import Path

import click
import pytest

from recsys.cli import main
from recsys.effects import EFFECTS, effect

ROOT = Path(__file__).resolve().parents[2]


def command(name: str) -> click.Command:
    """The command behind a name of EFFECTS, such as `workspace make`."""
    found: click.Command | None = main
    for word in name.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(main), word)
        assert found is not None, name
    return found


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_a_command_and_a_documented_function_that_its_command_names(name):
    function, callback = effect(name), command(name).callback
    assert callback is not None and inspect.getdoc(function)
    source = inspect.getsource(inspect.getmodule(callback))
    module, attribute = EFFECTS[name]
    assert re.search(rf"from {re.escape(module)} import .*\b{attribute}\b", source), (
        f"{name}: {module}.{attribute}"
    )


def test_every_effect_of_a_dag_is_named():
    words = re.compile(r"effect\(\s*\"([a-z -]+?)(?: --[^\"]*)?\"")
    files = [*(ROOT / "dags").glob("*.py"), ROOT / "plugins/slow_loop.py"]
    used = {name.strip() for file in files for name in words.findall(file.read_text("utf-8"))}
    assert {"ingest", "publish", "register", "workspace make"} <= used
    assert used <= set(EFFECTS)


def test_no_effect_knows_the_command_line():
    for file in (ROOT / "recsys/effects").glob("*.py"):
        text = file.read_text("utf-8")
        assert "import click" not in text and "rich" not in re.findall(r"(?:from|import) (\w+)", text), file
