"""What the demo claims of a training: its verdict is the gate's, and nothing that it judges by has ever landed."""

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from demo import landing
from demo.data import DemoData, Film, Rating
from demo.judging import CHAMPION, Judged
from demo.showing import show_training
from demo.training import Training, Verdict, show_verdict
from recsys.artifacts import Artifacts

FILMS = tuple(Film(str(n), f"Film {n}", "1990", (), f"Plot {n}" if n > 3 else None) for n in range(1, 9))
DATA = DemoData(FILMS, tuple(Rating("u", film.item_id, 4.0, n) for n, film in enumerate(FILMS)))
METRICS = {"cold/ndcg@20": 0.25, "challenger/cold/ndcg@20": 0.375, "warm/ndcg@20": None}


def rated(file: landing.LandedFile) -> set[str]:
    return {row["item_id"] for row in csv.DictReader(io.StringIO(file.content.decode()))}


def verdict(folder: Path, *, is_open: bool, reasons: tuple[str, ...] = ()) -> Verdict:
    at = Artifacts(folder)
    for path, content in (
        (at.decision, {"open": is_open, "reasons": reasons, "model_hash": "abcdef0123456789", "checks": []}),
        (at.metrics, METRICS),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return Verdict.of(at)


def shown(show, *arguments) -> str:  # noqa: ANN001
    console = Console(width=200)
    with console.capture() as captured:
        show(console, *arguments)
    return captured.get()


def test_no_landed_file_has_a_rating_of_the_films_that_are_judged_at_the_end():
    landed = rated(landing.ratings_without_plots(DATA)) | rated(landing.ratings_of_new_films(DATA))
    assert landed == {"1", "2", "3", "4", "6", "8"}
    assert {film.item_id for film in landing.films_without_ratings(DATA)} == {"5", "7"}


def test_a_closed_gate_is_shown_with_its_reasons_and_where_its_page_is(tmp_path: Path):
    closed = verdict(tmp_path, is_open=False, reasons=("ndcg@20 [cold] is worse",))
    output = shown(show_verdict, closed)
    assert "the gate is closed for model abcdef0123" in output and "- ndcg@20 [cold] is worse" in output
    assert str(tmp_path / "artifacts/gate/page.html") in output


def test_figures_of_both_encoders_stand_side_by_side_and_missing_ones_stay_empty(tmp_path: Path):
    output = shown(show_verdict, verdict(tmp_path, is_open=True))
    (cold,) = (line for line in output.splitlines() if "cold/ndcg@20" in line)
    assert cold.index("0.2500") < cold.index("0.3750")
    (warm,) = (line for line in output.splitlines() if "warm/ndcg@20" in line)
    assert not any(letter.isdigit() for letter in warm.replace("ndcg@20", ""))
    assert "the gate is open" in output


@pytest.mark.parametrize("promoted", [True, False])
def test_recall_after_is_shown_only_where_a_new_champion_was_published(tmp_path: Path, promoted: bool):
    found = verdict(tmp_path, is_open=promoted)
    before = Judged(20, 9, 4, {"tfidf_centroid": 0.5, CHAMPION: 0.4})
    after = Judged(20, 9, 4, {CHAMPION: 0.45}) if promoted else None
    output = shown(show_training, Training(found, 61.0, 7.0 if promoted else None, before, after))
    assert "0.4000" in output and "0.5000" in output and "took 61 s" in output
    assert ("0.4500" in output) == promoted and ("promoted → live 7 s" in output) == promoted
