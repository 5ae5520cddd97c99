"""What the demo judges: profiles and floors, over the films that a release holds."""

from pathlib import Path

from demo.data import Film, Rating
from demo.judging import MODELS, judge_cold
from recsys import Release
from recsys.catalogue.pseudonyms import Pseudonyms
from recsys.storage.protocol import Storage
from tests.publishing.film_workspace import FILMS, FilmWorkspace


def test_profiles_and_floors_are_judged_by_the_withheld_ratings_of_known_users(
    film_workspace: FilmWorkspace, folder: Storage, tmp_path: Path
) -> None:
    pseudonyms = Pseudonyms("a key of sixteen bytes or more")
    film_workspace.ratings([(pseudonyms.of("dan"), "alien"), (pseudonyms.of("dan"), "heat")], day=1)
    film_workspace.build().publish(folder)
    films = tuple(Film(item, item, "1990", (), FILMS[item]) for item in ("gravity", "fargo", "amadeus"))
    withheld = (Rating("dan", "gravity", 5.0, 1), Rating("who has rated nothing else", "fargo", 5.0, 2))
    judged = judge_cold(
        Release.open(folder.url, cache=tmp_path / "readers"),
        film_workspace.at,
        film_workspace.settings,
        films,
        withheld,
        pseudonyms,
    )
    assert judged.recall == dict.fromkeys(MODELS, 1.0)  # three candidates, and a list holds more
    assert (judged.n_users, judged.n_candidates) == (1, 3)
