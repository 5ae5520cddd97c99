import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml

from recsys.dvc_inside import remembering

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def parsed():
    """What DVC had to parse."""
    return []


@pytest.fixture
def parse(parsed):
    def noted(text, path, typ="safe"):
        parsed.append((text, typ))
        return parse_yaml(text, path, typ)

    return remembering(noted)


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock", "params.yaml", "data.dvc"])
def test_a_file_of_dvc_is_parsed_once_and_reads_as_dvc_reads_it(parse, parsed, name):
    text = (ROOT / name).read_text("utf-8")
    found = [parse(text, name) for _ in range(3)]
    assert found == [parse_yaml(text, name)] * 3 and found[0]
    assert len(parsed) == 1
    assert parse(text + "# changed\n", name) == found[0] and len(parsed) == 2


def test_what_a_caller_changes_is_its_own(parse):
    first = parse("stages: {a: {deps: [b]}}", "dvc.yaml")
    first["stages"]["a"]["deps"].append("c")
    assert parse("stages: {a: {deps: [b]}}", "dvc.yaml") == {"stages": {"a": {"deps": ["b"]}}}


def test_what_dvc_changes_in_place_keeps_its_comments(parse, parsed):
    text = "stages:  # in walking order\n  a: {cmd: ls}\n"
    found = [parse(text, "dvc.yaml", typ="rt") for _ in range(2)]
    assert found[0] is not found[1] and found[0].ca.items
    assert parsed == [(text, "rt")] * 2


def test_a_damaged_file_is_refused_each_time(parse):
    for _ in range(2):
        with pytest.raises(YAMLFileCorruptedError, match=r"dvc\.lock"):
            parse("stages: {", "dvc.lock")


def test_dvc_reads_by_the_parser_that_remembers_once_it_is_loaded():
    code = (
        "import sys; from recsys import dvc_inside; dvc_inside.load(); "
        "import dvc.stage.run, dvc.utils.strictyaml as s; "
        "import dvc.repo; from dvc.utils.serialize import _yaml; "
        "assert s.parse_yaml is _yaml.parse_yaml and s.parse_yaml.__module__ == 'recsys.dvc_inside'; "
        "assert dvc_inside.is_loaded()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
