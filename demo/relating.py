"""What relations do: a cold film before and after its relations land, and why, in a small made-up world.

The films of the walk have no relations at hand, so this world is written here: every user likes the films of two
directors, and no plot gives away who directed it. Everything else is the product: the real encoder, a challenger that
validation chooses, releases, an explanation.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.markup import escape

from demo.landing import LandedFile
from demo.watching import WalkFailed
from recsys import Release
from recsys.artifacts import Artifacts
from recsys.effects.ingest import ingest
from recsys.effects.publish import publish
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from recsys.stages import FAST_LOOP, stage
from recsys.storage.opening import open_storage

DIRECTORS = (
    "Ada Lindqvist",
    "Bruno Okafor",
    "Chiara Watanabe",
    "Dmitri Alvarez",
    "Elif Novak",
    "Farid Jansen",
)
PLACES = (
    "harbour",
    "monastery",
    "railway",
    "desert",
    "circus",
    "lighthouse",
    "vineyard",
    "observatory",
    "mill",
)
HEROES = ("clockmaker", "widow", "smuggler", "violinist", "surgeon", "baker", "pilot", "teacher", "gardener")
DEEDS = ("hides a letter", "loses a bet", "finds a map", "keeps a secret", "starts a fire", "writes a song")
FILMS_EACH, USERS_PER_PAIR, N_LIKED = 12, 6, 9
COLD, COLD_DIRECTOR = "film-cold", DIRECTORS[2]
KEY = "a-key-for-made-up-users-0123456789"
CHANGES: Mapping[str, Mapping[str, object]] = {
    "finetune": {"epochs": 1, "roles": ["challenger"]},
    "split": {"test_share": 0.1, "min_test_users": 1},
    "publish": {"smoke_queries": 3},
}
"""Section -> what this world has otherwise than params.yaml: it is small."""
N_SHOWN = 4


def show_relations(console: Console, params: Path, folder: Path) -> None:
    """Train on the made-up world, land a cold film, publish; land its relations, publish; show both and the reason.

    Args:
        console: where to.
        params: params.yaml of the checkout.
        folder: an empty folder for workspace, landing zone and store.

    Raises:
        WalkFailed: a claim does not hold.
    """
    console.print(
        "\n[bold]Relations[/]: one cold film of a made-up world, before and after its relations land"
    )
    world = World(params, folder)
    world.take_in(films(), ratings(), relations())
    weight = world.train().get("relations", 0.0)
    console.print(
        f"  validation gave relations the weight {weight:g}, beside 1 for the text", highlight=False
    )
    world.take_in(cold_film())
    before = world.published()
    world.take_in(cold_relations())
    after = world.published()
    n_encoded = json.loads((world.at.var / "last_encode.json").read_text("utf-8"))["encoded"]
    for name, release in (("before", before), ("after", after)):
        near = ", ".join(
            f"{one.item_id} ({director_of(one.item_id)})" for one in release.similar(COLD, N_SHOWN)
        )
        console.print(f"  {name}, {release.id}: nearest films {escape(near)}", highlight=False)
    liked = f"film-{DIRECTORS.index(COLD_DIRECTOR)}-0"
    why = after.explain(COLD, history=[liked]).contributions[0]
    facts = "; ".join(f"same {fact.relation}: {fact.thing}" for fact in why.shared)
    console.print(
        f"  why, for who likes {liked}: {escape(facts)}; {n_encoded} texts were encoded", highlight=False
    )
    if n_encoded:
        raise WalkFailed(f"relations landed, and {n_encoded} texts were encoded")
    if COLD_DIRECTOR not in {fact.thing for fact in why.shared}:
        raise WalkFailed(f"the explanation does not name {COLD_DIRECTOR}: {why}")
    if _n_of_director(after) <= _n_of_director(before):
        raise WalkFailed(f"the neighbours of {COLD} are no nearer to {COLD_DIRECTOR}'s films than before")


class World:
    """A workspace with a landing zone and a store in one folder.

    Args:
        params: params.yaml of the checkout.
        folder: where all lies.
        changes: section -> what this world has otherwise.
    """

    def __init__(
        self, params: Path, folder: Path, changes: Mapping[str, Mapping[str, object]] = CHANGES
    ) -> None:
        values = yaml.safe_load(params.read_text("utf-8"))
        for section, changed in changes.items():
            values[section] |= changed
        self.at = Artifacts(folder / "workspace")
        self.at.root.mkdir(parents=True)
        self.at.params.write_text(yaml.safe_dump(values), "utf-8")
        self.settings = Settings.load(self.at.params)
        (folder / "landing").mkdir()
        self.landing = open_storage(str(folder / "landing"))
        self.store = folder / "store"

    def take_in(self, *files: LandedFile) -> None:
        """Land files and take them in."""
        for file in files:
            self.landing.write(file.key, file.content)
        report = ingest(self.landing, self.at, self.settings, KEY, lambda _: None).report
        if len(report.accepted) != len(files):
            raise WalkFailed(f"not every file was accepted: {report.outcomes}")

    def train(self) -> dict[str, float]:
        """Train a challenger and make it the champion; returns the weight that validation gave each view."""
        for name in ("validate", "images", "features", "split", "finetune"):
            stage(name)(self.settings, self.at)
        challenger = ModelReference.load(self.at.model_reference("challenger"))
        challenger.save(self.at.model_reference("champion"))
        if challenger.head is None:
            return {}
        head = json.loads((self.at.cache / "heads" / challenger.head.hash / "head.json").read_text("utf-8"))
        return {view["name"]: float(view["weight"]) for view in head.get("views", [])}

    def published(self) -> Release:
        """Make profiles of what was taken in, and publish them."""
        for name in FAST_LOOP:
            stage(name)(self.settings, self.at)
        publish(open_storage(str(self.store)), self.at, self.settings, "demo", None)
        return Release.open(self.store, cache=self.at.cache)


def films() -> LandedFile:
    """The films; the plot of each is drawn by chance, and does not tell the director."""
    rng = np.random.default_rng(7)
    rows = [_film(f"film-{n}-{m}", rng) for n in range(len(DIRECTORS)) for m in range(FILMS_EACH)]
    return LandedFile("catalogue/films.jsonl", _jsonl(rows))


def ratings() -> LandedFile:
    """Users, each of whom likes films of two directors."""
    rng = np.random.default_rng(8)
    likes = []
    for first in range(len(DIRECTORS)):
        for second in range(first):
            choice = [f"film-{n}-{m}" for n in (first, second) for m in range(FILMS_EACH)]
            for user in range(USERS_PER_PAIR):
                likes += [
                    f"user-{first}-{second}-{user},{film}" for film in rng.permutation(choice)[:N_LIKED]
                ]
    timed = [f"{one},like,{_time(hour)}" for hour, one in enumerate(rng.permutation(likes).tolist())]
    content = "\n".join(["user_id,item_id,event,timestamp", *timed, ""])
    return LandedFile("interactions/likes.csv", content.encode())


def relations() -> LandedFile:
    """Who directed which film."""
    rows = [f"film-{n}-{m},director,{name}" for n, name in enumerate(DIRECTORS) for m in range(FILMS_EACH)]
    return LandedFile("relations/directors.csv", ("\n".join(["head,relation,tail", *rows]) + "\n").encode())


def cold_film() -> LandedFile:
    """A film that nobody has seen, and of which no relation is known."""
    return LandedFile("catalogue/cold.jsonl", _jsonl([_film(COLD, np.random.default_rng(9))]))


def cold_relations() -> LandedFile:
    """Its director."""
    return LandedFile("relations/cold.csv", f"head,relation,tail\n{COLD},director,{COLD_DIRECTOR}\n".encode())


def director_of(item_id: str) -> str:
    """Who directed a film of `films`."""
    return DIRECTORS[int(item_id.split("-")[1])]


def _n_of_director(release: Release) -> int:
    return sum(director_of(one.item_id) == COLD_DIRECTOR for one in release.similar(COLD, N_SHOWN))


def _film(item_id: str, rng: np.random.Generator) -> dict[str, object]:
    place, hero, deed = (str(rng.choice(words)) for words in (PLACES, HEROES, DEEDS))
    return {
        "item_id": item_id,
        "title": f"The {hero.title()} of the {place.title()}",
        "description": f"In a {place}, a {hero} {deed} and has to live with what follows.",
        "updated_at": _time(0),
    }


def _time(hour: int) -> str:
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)).isoformat()


def _jsonl(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
