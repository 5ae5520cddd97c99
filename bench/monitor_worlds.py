"""Catalogues for `bench/monitor.py`: real texts with their vectors, and the same items changed by planted drifts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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


def _films() -> list[str]:
    rows = pq.read_table(SHARED_DATA / "ml-100k-multimodal" / "items.parquet").to_pylist()
    return [join_fields((row["title"] or "", row["description"] or ""), MAX_CHARS) for row in rows]


def _parts() -> list[str]:
    rows = pq.read_table(SHARED_DATA / "amazon-industrial-2018" / "items.parquet").to_pylist()
    return [join_fields((row["title"] or "", row["description"] or ""), MAX_CHARS) for row in rows]


def _papers() -> list[str]:
    rows = pq.read_table(SHARED_DATA / "citeulike-a" / "items.parquet", columns=["title"])
    return [join_fields((title or "",), MAX_CHARS) for title in rows["title"].to_pylist()]


def _chinese() -> list[str]:
    rows = pq.read_table(SHARED_DATA / "kdconv-zh" / "items.parquet").to_pylist()
    return [join_fields((row["title"] or "", row["description"] or ""), MAX_CHARS) for row in rows]


CATALOGUES: dict[str, Callable[[], list[str]]] = {
    "ml100k": _films,
    "industrial": _parts,
    "citeulike": _papers,
}
"""Name -> its texts: films with plots, products with descriptions, titles of papers alone."""


def world(name: str, root: Path) -> World:
    """Make a catalogue and its planted kinds; what was encoded before is read from the cache of vectors.

    Args:
        name: one of CATALOGUES.
        root: the workspace whose params.yaml names the encoder, and whose cache is used.

    Returns:
        The catalogue.
    """
    plain = _drawn([text for text in CATALOGUES[name]() if text], ITEMS)
    extra = SHORT_BOILERPLATE if name == "citeulike" else BOILERPLATE
    texts = {
        "plain": plain,
        "language": _drawn([text for text in _chinese() if text], ITEMS),
        "truncated": tuple(text[: max(1, round(KEPT_SHARE * len(text)))].rstrip() or text for text in plain),
        "boilerplate": tuple(join_fields((text, extra), 2 * MAX_CHARS) for text in plain),
    }
    vectors = {kind: encoded(root, some, "mean") for kind, some in texts.items()}
    texts["encoder"], vectors["encoder"] = plain, encoded(root, plain, "cls")
    return World(name, texts, vectors, _clusters(vectors["plain"]))


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


def _drawn(texts: Sequence[str], n: int) -> tuple[str, ...]:
    order = np.random.default_rng(SEED).permutation(len(texts))[:n]
    return tuple(texts[row] for row in order.tolist())


def _clusters(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    from scipy.cluster.vq import kmeans2

    _, category = kmeans2(vectors.astype(np.float64), CATEGORIES, seed=SEED, minit="++")
    return np.asarray(category, np.int64)
