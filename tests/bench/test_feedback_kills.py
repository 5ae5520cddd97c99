"""The benchmark of kills, with a few of them, on SQLite."""

from pathlib import Path

import pytest

from bench.feedback_kills import run
from bench.figures import ROOT
from recsys.settings import Settings


@pytest.mark.whole
def test_a_few_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    home = tmp_path / "sqlite"
    found = run(home, f"sqlite:///{home / 'feedback.db'}", 4, Settings.load(ROOT / "params.yaml"))
    assert (found.n_kills, found.n_lost, found.n_double) == (4, 0, 0)
    assert found.n_confirmed > 10 and found.n_files > 1
