"""Catalogues for `bench/monitor.py`: real texts with their vectors, and the same items changed by planted drifts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bench.figures import SHARED_DATA
from recsys.artifacts import Artifacts
from recsys.encoders.pack import pack_encoder
from recsys.encoders.source import find_source, source_files
from recsys.encoders.transformer import open_encoder
from recsys.features.text import PREPROCESSING_VERSION, join_fields, text_hash
from recsys.profiles.cache import VectorCache
from recsys.settings import Settings

ITEMS = 2400
"""The most items of a catalogue, drawn once: encoding all of them five times would take hours."""
MAX_CHARS = 400
KEPT_SHARE = 0.4
"""Of a truncated text, from its beginning."""
BOILERPLATE = (
    "Official partner store. Free returns within thirty days, two years of warranty and support by our friendly "
    "experts around the clock. Sold and shipped by Nordwind Trading, satisfaction guaranteed."
)
SHORT_BOILERPLATE = "Sold and shipped by Nordwind Trading, free returns."
CATEGORIES = 12
SEED = 20261129


@dataclass(frozen=True)
class World:
    """One catalogue: its items in order, and each planted kind of the same items."""

    name: str
    texts: dict[str, tuple[str, ...]]
    """Kind -> texts; `plain` is the catalogue as it is, of I items; `language` has texts of other items."""
    vectors: dict[str, NDArray[np.float32]]
    """Kind -> unit vectors of these texts; `encoder`: of the plain texts, by the model with another pooling."""
    category: NDArray[np.int64]
    """Category of each item: a cluster of its vectors. One of them is planted as a new one."""
    tags: tuple[list[str], ...]
    """Tags of each item; none in a catalogue that has none."""
    prices: NDArray[np.float64]
    """Generated, since no catalogue has any: lognormal (σ .6) around a level of the item's category."""

    def texts_of(self, kind: str) -> tuple[str, ...]:
        """Texts of a kind: the plain ones where it changes something else."""
        return self.texts.get(kind, self.texts["plain"])

    def vectors_of(self, kind: str) -> NDArray[np.float32]:
        """Vectors of a kind: the plain ones where it changes something else."""
        return self.vectors.get(kind, self.vectors["plain"])


Item = tuple[str, list[str]]
"""Text and tags."""


def _films() -> list[Item]:
    rows = _rows("ml-100k-multimodal")
    return [(_joined(row["title"], row["description"]), list(row["genres"] or ())) for row in rows]


def _parts() -> list[Item]:
    return [(_joined(row["title"], row["description"]), []) for row in _rows("amazon-industrial-2018")]


def _papers() -> list[Item]:
    return [(_joined(row["title"]), list(row["tags"] or ())) for row in _rows("citeulike-a")]


def _chinese() -> list[Item]:
    return [(_joined(row["title"], row["description"]), []) for row in _rows("kdconv-zh")]


def _rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(SHARED_DATA / name / "items.parquet").to_pylist()
    return found


def _joined(*values: str | None) -> str:
    return join_fields(tuple(value or "" for value in values), MAX_CHARS)


CATALOGUES: dict[str, Callable[[], list[Item]]] = {
    "ml100k": _films,
    "industrial": _parts,
    "citeulike": _papers,
}
"""Name -> its items: films with plots, products with descriptions, titles of papers alone."""


def world(name: str, root: Path, *, planted: bool = True) -> World:
    """Make a catalogue and its planted kinds; what was encoded before is read from the cache of vectors.

    Args:
        name: one of CATALOGUES.
        root: the workspace whose params.yaml names the encoder, and whose cache is used.
        planted: make the planted kinds too; they take four times as long to encode as the catalogue.

    Returns:
        The catalogue.
    """
    items = _drawn(CATALOGUES[name]())
    plain = tuple(text for text, _ in items)
    extra = SHORT_BOILERPLATE if name == "citeulike" else BOILERPLATE
    texts = {
        "plain": plain,
        "language": tuple(text for text, _ in _drawn(_chinese())),
        "truncated": tuple(text[: max(1, round(KEPT_SHARE * len(text)))].rstrip() or text for text in plain),
        "boilerplate": tuple(join_fields((text, extra), 2 * MAX_CHARS) for text in plain),
    }
    if not planted:
        texts = {"plain": plain}
    vectors = {kind: encoded(root, some, "mean") for kind, some in texts.items()}
    if planted:
        vectors["encoder"] = encoded(root, plain, "cls")
    category = _clusters(vectors["plain"])
    return World(name, texts, vectors, category, tuple(tags for _, tags in items), _prices(category))


def encoded(root: Path, texts: Sequence[str], pooling: str) -> NDArray[np.float32]:
    """Unit vectors [I, D] of texts by the encoder of params.yaml with another pooling, through the cache."""
    at = Artifacts(root)
    chosen = Settings.load(at.params).encoder
    changes = {"precision": "float32", "pooling": pooling}
    if pooling != chosen.pooling:
        changes["source"] = str(_bare(find_source(chosen.source), root / "var/bench/monitor/bare"))
    chosen = chosen.model_copy(update=changes)
    reference = pack_encoder(chosen, at.encoders, ())
    cache = VectorCache(at.vectors / f"{reference.hash}-{PREPROCESSING_VERSION}", reference.dim)
    hashes = [text_hash(text) for text in texts]
    known = cache.holds(hashes)
    unknown = {hashes[row]: texts[row] for row in np.flatnonzero(~known).tolist()}
    todo = list(unknown)
    encoder = open_encoder(reference, at.encoders, chosen.batch_tokens) if todo else None
    for start in range(0, len(todo), 512):
        some = todo[start : start + 512]
        assert encoder is not None
        cache.add(some, encoder.encode([unknown[one] for one in some]))
    vectors, found = cache.read(hashes)
    assert found.all()
    return vectors


def _bare(source: Path, folder: Path) -> Path:
    """The model's files without what they say of pooling: as somebody takes them who copies weights alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in source_files(source):
        if not (folder / file.name).exists():
            (folder / file.name).symlink_to(file.resolve())
    return folder


def _drawn(items: Sequence[Item]) -> list[Item]:
    """At most ITEMS of those with a text, in an order that is the same each time."""
    some = [item for item in items if item[0]]
    order = np.random.default_rng(SEED).permutation(len(some))[:ITEMS]
    return [some[row] for row in order.tolist()]


def _prices(category: NDArray[np.int64]) -> NDArray[np.float64]:
    generator = np.random.default_rng(SEED)
    levels = generator.normal(3.0, 1.0, CATEGORIES)
    found: NDArray[np.float64] = np.exp(levels[category] + 0.6 * generator.standard_normal(len(category)))
    return found


def _clusters(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    from scipy.cluster.vq import kmeans2

    _, category = kmeans2(vectors.astype(np.float64), CATEGORIES, seed=SEED, minit="++")
    return np.asarray(category, np.int64)
