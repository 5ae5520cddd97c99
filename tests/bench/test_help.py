"""Every benchmark that is run by name says what it is for instead of running for minutes."""

from pathlib import Path

import pytest

from bench.figures import explain

BENCH = Path(__file__).parents[2] / "bench"
PARTS = {"judging", "scale_arrivals", "scale_encode", "scale_open"}
"""Commands that another benchmark or the judge's own arguments run."""


def test_every_benchmark_reads_its_arguments():
    silent = {
        file.stem
        for file in BENCH.glob("*.py")
        if "__main__" in (text := file.read_text())
        and "parse_args" not in text
        and "explain(__doc__)" not in text
    }
    assert silent == PARTS


def test_help_is_the_docstring(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ranker", "--help"])
    with pytest.raises(SystemExit, match="0"):
        explain("What event heads add.\n\nA second paragraph.")
    assert "What event heads add.\n\nA second paragraph." in capsys.readouterr().out
