import pytest
from rich.console import Console

from demo.relating import COLD_DIRECTOR, show_relations
from tests.conftest import ROOT


@pytest.mark.whole
def test_the_relations_of_a_cold_film_change_its_neighbours_and_the_demo_says_why(tmp_path):
    console = Console(record=True, width=200)
    show_relations(console, ROOT / "params.yaml", tmp_path)
    shown = console.export_text()
    before, after = (line for line in shown.splitlines() if "nearest films" in line)
    assert after.count(COLD_DIRECTOR) > before.count(COLD_DIRECTOR)
    assert f"same director: {COLD_DIRECTOR}; 0 texts were encoded" in shown
