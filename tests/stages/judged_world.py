"""A small world that can be judged: six tastes, texts and profiles that show them, and users who have two each."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import part_id, write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA, INTERACTIONS_SCHEMA
from recsys.encoders.reference import HEAD, EncoderReference
from recsys.evaluation.provenance import identity
from recsys.features.text import PREPROCESSING_VERSION, feature_key, feature_path, item_texts
from recsys.models.legacy import as_legacy, parts_of_legacy
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.profiles.items import SCHEMA as ROWS_SCHEMA
from recsys.profiles.items import segment_name
from recsys.ranking.item_weights import ItemWeights
from recsys.storage.atomic import write_parquet
from recsys.storage.packed import PackedFile
from recsys.training.seeds import TrainedSeed, TrainedSeeds, folder_of
from tests.profiles.segments import write_segment
from tests.publishing.film_workspace import shipped_settings

ROOT = Path(__file__).resolve().parent.parent.parent
DIM, TASTES = 16, 6
NOISE = 0.15
FAST = {"bootstrap_rounds": 200, "robustness": ()}
"""Of section `evaluate`. These worlds have no encoder that could read perturbed texts."""
T0 = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ("river", "engine", "violin", "harvest", "orbit", "castle")


def settings(**sections):
    """The project's own params.yaml, with a few values changed: settings(split={"min_test_users": 5})."""
    loaded = shipped_settings()
    changes = {
        name: getattr(loaded, name).model_copy(update=(FAST if name == "evaluate" else {}) | values)
        for name, values in {"evaluate": {}, **sections}.items()
    }
    return loaded.model_copy(update=changes)


@dataclass(frozen=True)
class Item:
    """One row of the catalogue."""

    id: str
    taste: int
    at: datetime = T0
    text: str = ""

    def row(self, part: str, line: int) -> dict:
        """As a catalogue row; tags name the taste, titles say it in words of their own."""
        own = hashlib.sha256(self.id.encode()).hexdigest()
        title = self.text or f"{WORDS[self.taste]} {own[:6]} {own[6:12]} and {own[12:18]}"
        return {
            "item_id": self.id, "title": title, "description": None, "tags": [f"taste{self.taste}"], "image": None,
            "attributes": None, "updated_at": self.at, "deleted": False, "part": part, "line": line,
        }  # fmt: skip


class World:
    """Writes parts, features and profiles, as ingest and the stages before would."""

    def __init__(self, root: Path, noise: float = NOISE) -> None:
        self.at = Artifacts(root)
        self.noise = noise
        self.settings = settings()
        self.sequence = 0
        self.landed: list[tuple[str, str, pa.Table, list[Item]]] = []
        self.centres = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, TASTES)))[0].T
        self._refer("champion", "a" * 64, DIM)

    def _refer(self, role: str, model_hash: str, dim: int, source: str = "test") -> None:
        encoder = EncoderReference(
            hash=model_hash,
            dim=dim,
            max_tokens=16,
            pooling="mean",
            precision="float32",
            source=source,
            files=[{"name": "model.xml", "size": 1, "sha256": "0" * 64}],
        )
        ModelReference.of(encoder).save(self.at.model_reference(role))

    def _part(self, kind: str, rows: list[dict], schema: pa.Schema):
        self.sequence += 1
        sha256 = hashlib.sha256(f"{kind}{self.sequence}".encode()).hexdigest()
        name = part_id(self.sequence, sha256)
        arrival = Arrival(part=name, kind=kind, source="f", sha256=sha256, size=1, arrived_at=T0)
        table = pa.Table.from_pylist([row | {"part": name} for row in rows], schema=schema)
        return write_part(self.at.staging, self.at.data, arrival, table)

    def vector(self, item: Item, noise: float, dim: int = DIM) -> np.ndarray:
        """Near the centre of its taste, the same each time."""
        generator = np.random.default_rng(list(hashlib.sha256((item.id + item.text).encode()).digest()))
        vector = np.zeros(dim)
        vector[:DIM] = self.centres[item.taste]
        vector += generator.normal(scale=noise, size=dim)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def land_items(self, items: list[Item]):
        """A catalogue part with its features and profiles."""
        rows = [item.row("", line + 1) for line, item in enumerate(items)]
        part = self._part(CATALOGUE, rows, CATALOGUE_SCHEMA)
        features = item_texts(part.rows(), self.settings.features)
        key = feature_key(part.arrival.rows_sha256, self.settings.features)
        write_parquet(feature_path(self.at.features, part.id, key), features)
        vectors = np.stack([self.vector(item, self.noise) for item in items])
        rows = features.select(ROWS_SCHEMA.names)
        write_segment(self.at.profiles("champion"), f"{part.id}-{key}", rows, vectors)
        self.landed.append((part.id, key, rows, items))
        return part

    def challenge(self, noise: float, *, dim: int = DIM, **summary: object) -> None:
        """A challenger that was trained on the split which is there: less noise makes it better than the champion."""
        model_hash = hashlib.sha256(f"{noise} {dim}".encode()).hexdigest()
        self._refer("challenger", model_hash, dim, "artifacts/finetune/model")
        for part, key, rows, items in self.landed:
            vectors = np.stack([self.vector(item, noise, dim) for item in items])
            name = segment_name(part, key, model_hash)
            write_segment(self.at.profiles("challenger"), name, rows, vectors)
        record = {"model_hash": model_hash, "trained_on": identity(self.at.split), "cut": None} | summary
        self.at.finetune.mkdir(parents=True, exist_ok=True)
        self.at.trained_on("challenger").write_text(json.dumps(record))

    def weigh(self, role: str, weights: ItemWeights, cache: Path) -> None:
        """The model of a role carries item weights, as before models had parts: so its hash, and all keys, stay."""
        model = ModelReference.load(self.at.model_reference(role))
        packed = cache / "encoders" / model.hash
        packed.mkdir(parents=True, exist_ok=True)
        (packed / HEAD).write_bytes(
            b"no profile is made here"
        )  # such a model always had a head beside the weights
        written = (packed / HEAD, *weights.save(packed))
        files = (*model.encoder.files, *(PackedFile.of(path) for path in written))
        legacy = as_legacy(model) | {"files": [file.model_dump() for file in files]}
        ModelReference.model_validate(parts_of_legacy(legacy)).save(self.at.model_reference(role))

    def trained_with(self, *siblings: float, dim: int = DIM, first: int = 7) -> None:
        """The challenger that is there was trained several times; siblings: the noise of each further training.

        Their profiles are all in the vector cache, so that nobody has to open encoders which these worlds do not have.
        """
        challenger = ModelReference.load(self.at.model_reference("challenger"))
        trained = [TrainedSeed(seed=first, model_hash=challenger.hash)]
        for place, noise in enumerate(siblings, 1):
            model_hash = hashlib.sha256(f"sibling {noise} {dim}".encode()).hexdigest()
            packed = folder_of(self.at.finetune, first + place) / "packed"
            encoder = challenger.encoder.model_copy(update={"hash": model_hash, "dim": dim})
            sibling = ModelReference.of(encoder, None, 10.0 + place)
            sibling.save(packed / "model.json")
            cache = VectorCache(self.at.var / "siblings" / f"{model_hash}-{PREPROCESSING_VERSION}", dim)
            for _, _, rows, items in self.landed:
                cache.add(
                    rows["text_hash"].to_pylist(), np.stack([self.vector(item, noise, dim) for item in items])
                )
            trained.append(TrainedSeed(seed=first + place, model_hash=sibling.hash))
        TrainedSeeds(seeds=tuple(trained)).save(self.at.finetune)

    def land_interactions(self, rows: list[tuple[str, str, datetime | None]], values: list[float] = ()):
        """An interactions part: clicks, or ratings where values are given."""
        event = "rating" if values else "click"
        made = [
            {"user": u, "item_id": i, "event": event, "value": v, "timestamp": t, "line": n + 1}
            for n, ((u, i, t), v) in enumerate(zip(rows, values or [None] * len(rows), strict=True))
        ]
        return self._part(INTERACTIONS, made, INTERACTIONS_SCHEMA)


def make_world(
    root: Path,
    *,
    timed: bool = True,
    n_users: int = 60,
    n_items: int = 150,
    noise: float = NOISE,
    rated: bool = False,
    pseudonyms: Callable[[str], str] = str,
) -> World:
    """30 of the items come late and are met late; each user follows two tastes; the champion's profiles are noisy.

    `rated`: users give items of the one taste 4 or 5, of the other -1 (a dislike), 1, 2 or 3.
    """
    world = World(root, noise)
    late = n_items - 30
    items = [
        Item(f"i{n:03d}", n % TASTES, T0 if n < late else T0 + timedelta(days=80)) for n in range(n_items)
    ]
    world.land_items(items[:late])
    world.land_items(items[late:])
    generator = np.random.default_rng(1)
    rows, values = [], []
    for user in range(n_users):
        tastes = generator.permutation(TASTES)[:2]
        for wanted, first_day, n in ((items[:late], 1, 10), (items[late:], 90, 2)):
            likes = [item.id for item in wanted if item.taste in tastes]
            for item in generator.permutation(likes)[:n]:
                when = T0 + timedelta(days=first_day, minutes=int(generator.integers(0, 14000)))
                rows.append((pseudonyms(f"u{user:03d}"), str(item), when if timed else None))
                is_loved = int(str(item)[1:]) % TASTES == tastes[0]
                values.append(float((4, 5)[len(rows) % 2] if is_loved else (-1, 1, 2, 3)[len(rows) % 4]))
    for start in (0, 1):
        world.land_interactions(rows[start::2], values[start::2] if rated else [])
    return world
