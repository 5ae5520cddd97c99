"""What pictures do: a cold film before and after its poster lands, in the made-up world of `relating`.

Here nothing is known of directors but how their posters look. Posters are drawn below: each director has a pattern of
their own, in colours that change from film to film. The vision encoder is the packaged one.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.markup import escape

from demo.landing import LandedFile
from demo.relating import CHANGES, COLD, COLD_DIRECTOR, DIRECTORS, N_SHOWN, World, cold_film, films, ratings
from demo.watching import WalkFailed
from recsys import Release
from recsys.encoders.image_pack import DEFAULT

WIDE, HIGH = 160, 240
Coordinates = NDArray[np.int64]
PATTERNS: tuple[Callable[[Coordinates, Coordinates], NDArray[np.bool_]], ...] = (
    lambda x, y: (x % 20 - 10) ** 2 + (y % 20 - 10) ** 2 < 60,  # dots
    lambda x, _: x % 20 < 8,
    lambda _, y: y % 20 < 8,
    lambda x, y: (x + y) % 28 < 10,
    lambda x, y: (x // 20 + y // 20) % 2 == 0,  # checks
    lambda x, y: (abs(x % 40 - 20) + y) % 24 < 8,  # zigzags
)
"""Of each director's posters: where there is ink."""


def show_pictures(console: Console, params: Path, folder: Path) -> None:
    """Train on films with posters, land a cold film, publish; land its poster, publish; show both.

    Args:
        console: where to.
        params: params.yaml of the checkout.
        folder: an empty folder for workspace, landing zone and store.

    Raises:
        WalkFailed: a claim does not hold.
    """
    console.print("\n[bold]Pictures[/]: one cold film of a made-up world, before and after its poster lands")
    landing = folder.resolve() / "landing"
    images = {"encoder": DEFAULT, "sources": [str(landing)]}
    world = World(params, folder, {**CHANGES, "images": images})
    every = films()
    for item_id in _ids(every):
        world.landing.write(f"images/{item_id}.png", poster(_director(item_id), item_id))
    world.take_in(_with_posters(every, landing), ratings())
    weight = world.train().get("image", 0.0)
    console.print(f"  validation gave pictures the weight {weight:g}, beside 1 for the text", highlight=False)
    world.take_in(cold_film())
    before = world.published()
    world.landing.write(f"images/{COLD}.png", poster(DIRECTORS.index(COLD_DIRECTOR), COLD))
    world.take_in(_with_posters(cold_film(), landing, name="poster"))
    after = world.published()
    n_encoded = json.loads((world.at.var / "last_encode.json").read_text("utf-8"))["encoded"]
    for name, release in (("before", before), ("after", after)):
        near = ", ".join(
            f"{one.item_id} ({DIRECTORS[_director(one.item_id)]})" for one in release.similar(COLD, N_SHOWN)
        )
        console.print(f"  {name}, {release.id}: nearest films {escape(near)}", highlight=False)
    console.print(
        f"  its poster is in the style of {COLD_DIRECTOR}; {n_encoded} texts were encoded", highlight=False
    )
    if n_encoded:
        raise WalkFailed(f"a poster landed, and {n_encoded} texts were encoded")
    if not weight or _n_in_style(after) <= _n_in_style(before):
        raise WalkFailed(f"the neighbours of {COLD} are no nearer to films with such posters than before")


def poster(style: int, item_id: str) -> bytes:
    """Draw a poster: the pattern is that of the style, its colours are drawn by chance for the film.

    Args:
        style: place in PATTERNS.
        item_id: the film; its letters are the seed.

    Returns:
        A PNG.
    """
    rng = np.random.default_rng([ord(letter) for letter in item_id])
    paper, ink = (rng.integers(low, low + 100, 3, np.uint8) for low in (150, 0))
    y, x = np.indices((HIGH, WIDE)) + rng.integers(0, 40, 2)[:, None, None]
    pixels = np.where(PATTERNS[style](x, y)[:, :, None], ink, paper)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _with_posters(file: LandedFile, landing: Path, name: str = "films") -> LandedFile:
    rows = [json.loads(line) for line in file.content.splitlines()]
    lines = [json.dumps(row | {"image": f"{landing}/images/{row['item_id']}.png"}) + "\n" for row in rows]
    return LandedFile(f"catalogue/{name}.jsonl", "".join(lines).encode())


def _ids(file: LandedFile) -> list[str]:
    return [json.loads(line)["item_id"] for line in file.content.splitlines()]


def _director(item_id: str) -> int:
    return int(item_id.split("-")[1])


def _n_in_style(release: Release) -> int:
    wanted = DIRECTORS.index(COLD_DIRECTOR)
    return sum(_director(one.item_id) == wanted for one in release.similar(COLD, N_SHOWN))
