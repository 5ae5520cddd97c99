"""Command `arrive`; tests/walk/test_arrive.py walks it as a whole."""

import shutil
from pathlib import Path

import pytest

from recsys.cli import main
from recsys.effects import arrive as effect
from recsys.stages import FAST_LOOP

ROOT = Path(__file__).resolve().parents[2]


def test_a_stage_reads_params_yaml_when_it_runs_as_dvc_does(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RECSYS_WORKSPACE", str(tmp_path))
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    found = {}
    monkeypatch.setattr(effect, "arrive", lambda at, before, stages, after: found.update(stages) or 0)
    main(["arrive", "--store", str(tmp_path / "store")], standalone_mode=False)
    assert tuple(found) == FAST_LOOP
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text() + "unknown: {}\n")
    for run in found.values():
        with pytest.raises(SystemExit):
            run()
    assert capsys.readouterr().err.count("unknown is not a key") == len(FAST_LOOP)
