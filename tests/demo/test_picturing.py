from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from demo.picturing import PATTERNS, poster, show_pictures
from demo.relating import COLD_DIRECTOR, DIRECTORS
from tests.conftest import ROOT


@pytest.mark.whole
def test_the_poster_of_a_cold_film_changes_its_neighbours(tmp_path):
    console = Console(record=True, width=200)
    show_pictures(console, ROOT / "params.yaml", tmp_path)
    shown = console.export_text()
    before, after = (line for line in shown.splitlines() if "nearest films" in line)
    assert after.count(COLD_DIRECTOR) > before.count(COLD_DIRECTOR)
    assert f"in the style of {COLD_DIRECTOR}; 0 texts were encoded" in shown


def test_a_poster_is_drawn_the_same_each_time_and_in_two_colours_of_its_own():
    assert len(PATTERNS) == len(DIRECTORS)
    first, again, other = poster(0, "film-0-1"), poster(0, "film-0-1"), poster(0, "film-0-2")
    assert first == again != other
    assert len(np.unique(np.asarray(Image.open(BytesIO(first))).reshape(-1, 3), axis=0)) == 2
