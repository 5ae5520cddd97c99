"""The files that land in the demo, the same bytes on every machine.

MovieLens has no dates of texts. The catalogue's texts count as known before the first rating, and the films with a plot
as new after the last rating.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from demo.data import DemoData, Film, Rating

CATALOGUE_AT = "1997-09-01T00:00:00Z"
NEW_FILMS_AT = "1998-05-01T00:00:00Z"
EDITS_AT = "1998-06-01T00:00:00Z"
N_EDITS = 10
N_GOOD_ROWS = 40


@dataclass(frozen=True)
class LandedFile:
    """One file for the landing zone; `key` is catalogue/NAME or interactions/NAME."""

    key: str
    content: bytes


@dataclass(frozen=True)
class BadRow:
    """A row that must be quarantined, and the reason that must be given."""

    reason: str
    row: dict[str, object]


def catalogue_without_plots(data: DemoData) -> LandedFile:
    """Titles with years, genres as tags: all that is known of these films."""
    return LandedFile("catalogue/films.jsonl", _jsonl(_row(film, CATALOGUE_AT) for film in data.without_plot))


def ratings_without_plots(data: DemoData) -> LandedFile:
    """Their ratings; those of the films with a plot are withheld."""
    return LandedFile("interactions/ratings.csv", _ratings(data.ratings_of(data.without_plot)))


def films_rated_later(data: DemoData) -> tuple[Film, ...]:
    """Every second film with a plot: its ratings land before a challenger is trained."""
    return data.with_plot[::2]


def films_without_ratings(data: DemoData) -> tuple[Film, ...]:
    """The other films with a plot: their ratings never land, so no training and no release knows them."""
    return data.with_plot[1::2]


def ratings_of_new_films(data: DemoData) -> LandedFile:
    """The ratings of every second film with a plot."""
    return LandedFile("interactions/new-ratings.csv", _ratings(data.ratings_of(films_rated_later(data))))


def all_ratings(data: DemoData) -> LandedFile:
    """Every rating, for the checkout's own data/."""
    return LandedFile("interactions/ratings.csv", _ratings(data.ratings))


def films_with_plot(data: DemoData) -> LandedFile:
    """The films with a plot. They land as new items, which nobody has rated."""
    return LandedFile(
        "catalogue/new-films.jsonl", _jsonl(_row(film, NEW_FILMS_AT) for film in data.with_plot)
    )


def edited_films(data: DemoData) -> tuple[Film, ...]:
    """The films whose text is edited: every twenty-eighth of those with a plot."""
    return data.with_plot[:: len(data.with_plot) // N_EDITS][:N_EDITS]


def edits(data: DemoData) -> LandedFile:
    """Ten films whose plot gets a sentence more."""
    rows = [_row(film, EDITS_AT) for film in edited_films(data)]
    for row, film in zip(rows, edited_films(data), strict=True):
        row["description"] = f"{film.plot} A restored print of {film.title} is shown again this summer."
    return LandedFile("catalogue/edits.jsonl", _jsonl(rows))


def file_with_bad_rows(data: DemoData) -> tuple[LandedFile, tuple[BadRow, ...]]:
    """A supplier's CSV: good rows that change no text, bad rows among them; and the bad rows in its order."""
    good = [
        _flat(_row(film, EDITS_AT)) | {"supplier": "Acme Film Library"}
        for film in data.without_plot[:N_GOOD_ROWS]
    ]
    known = good[0]
    bad = (
        BadRow("missing_id", known | {"item_id": ""}),
        BadRow("no_text", known | {"item_id": "acme-1", "title": "", "description": "", "tags": ""}),
        BadRow("future_timestamp", known | {"item_id": "acme-2", "updated_at": "2999-01-01T00:00:00Z"}),
        BadRow("bad_timestamp", known | {"item_id": "acme-3", "updated_at": "last Tuesday"}),
        BadRow("no_word", known | {"item_id": "acme-4", "title": "--- ???", "description": "", "tags": ""}),
    )
    rows = list(good)
    for place, one in enumerate(bad):
        rows.insert(1 + place * 9, one.row)
    return LandedFile("catalogue/supplier.csv", _csv(rows)), bad


def late_film() -> LandedFile:
    """One more film, which lands while a hold is on."""
    row = {
        "item_id": "late-1",
        "title": "The Lighthouse Keeper's Orchard (1998)",
        "description": "A retired lighthouse keeper plants apple trees on a salt-swept island and, with the help of "
        "a runaway girl and a stubborn goat, teaches a quarrelling fishing village to share its harvest.",
        "tags": ["Comedy", "Drama"],
        "year": 1998,
        "updated_at": EDITS_AT,
    }
    return LandedFile("catalogue/late-film.jsonl", _jsonl([row]))


def _row(film: Film, updated_at: str) -> dict[str, object]:
    row: dict[str, object] = {"item_id": film.item_id, "title": film.title, "tags": list(film.genres)}
    if film.plot:
        row["description"] = film.plot
    if film.year.isdigit():
        row["year"] = int(film.year)
    return row | {"updated_at": updated_at}


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    tags = row["tags"]
    return {**row, "tags": "|".join(tags) if isinstance(tags, list) else tags}


def _jsonl(rows: Iterable[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _ratings(ratings: tuple[Rating, ...]) -> bytes:
    return _csv(
        {
            "user_id": rating.user_id,
            "item_id": rating.item_id,
            "event": "rating",
            "value": rating.value,
            "timestamp": rating.timestamp,
        }
        for rating in ratings
    )


def _csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    listed = list(rows)
    columns = list(dict.fromkeys(name for row in listed for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue().encode()
