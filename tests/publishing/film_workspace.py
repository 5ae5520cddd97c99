"""A small real workspace: parts accepted by `write_part`, the stages as they run in production."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from shutil import copyfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE, INTERACTIONS
from recsys.catalogue.parts import Part, next_sequence, part_id, write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA, INTERACTIONS_SCHEMA
from recsys.encoders.reference import EncoderReference
from recsys.features.text import PREPROCESSING_VERSION, feature_files
from recsys.models.reference import ModelReference
from recsys.profiles.cache import VectorCache
from recsys.publishing.publish import Published, Publisher, publish
from recsys.settings import Settings
from recsys.stages import stage
from recsys.storage.packed import PackedFile
from recsys.storage.protocol import Storage

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DIM = 8
FILMS = {
    "alien": "A crew in deep space meets a deadly creature",
    "amadeus": "A court composer envies Mozart and his music",
    "babe": "A pig learns to herd sheep on a farm",
    "casablanca": "A bar owner in wartime Morocco meets his lost love",
    "dumbo": "A young circus elephant learns to fly with his ears",
    "fargo": "A police chief in snowy Minnesota hunts two kidnappers",
    "gravity": "Two astronauts are adrift in orbit after an accident",
    "heat": "A detective hunts a crew of bank robbers in Los Angeles",
    "jaws": "A great white shark terrifies a beach town",
    "rocky": "A small-time boxer gets a shot at the title",
}
UP = {"up": "An old man ties balloons to his house"}
HER = {"her": "A lonely writer falls in love with his computer"}
RAN = {"ran": "An old warlord divides his kingdom"}


def tiny_encoder(encoders: Path, name: str = "tiny") -> EncoderReference:
    """An encoder whose files are a few bytes: it is published and checked like any other, and never opened."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    folder = encoders / digest
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("tokenizer.json", "model.xml", "model.bin"):
        (folder / file).write_text(f"{name} {file}")
    files = tuple(PackedFile.of(path) for path in sorted(folder.iterdir()) if path.name != "encoder.json")
    return EncoderReference(
        hash=digest, dim=DIM, max_tokens=16, pooling="mean", precision="float32", source=name, files=files
    )


def vector_of(text_hash: str) -> np.ndarray:
    """A unit vector that depends on the text alone."""
    seed = int(text_hash[:12], 16)
    vector = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def tiny_model(encoders: Path, name: str = "tiny") -> ModelReference:
    """A model of that encoder alone."""
    return ModelReference.of(tiny_encoder(encoders, name))


@cache
def shipped_settings() -> Settings:
    """What params.yaml says as it ships."""
    return Settings.load(ROOT / "params.yaml")


class FilmWorkspace:
    """A workspace, with a method for each event: parts are accepted, stages run, a release is published."""

    def __init__(self, root: Path, model: ModelReference) -> None:
        root.mkdir(parents=True, exist_ok=True)
        copyfile(ROOT / "params.yaml", root / "params.yaml")
        self.at = Artifacts(root)
        self.settings = shipped_settings()
        self.set_model(model)

    def set_model(self, model: ModelReference) -> None:
        self.model = model
        model.save(self.at.model_reference("champion"))

    def items(
        self, texts: dict[str, str | None], day: int = 0, attributes: dict[str, str] | None = None
    ) -> Part:
        """Accept a catalogue part; None deletes. `attributes`: item -> JSON."""
        further = attributes or {}
        name = f"films-{day}.jsonl"
        rows = [
            (item, text, None, None, None, further.get(item), NOON + timedelta(days=day), text is None, line)
            for line, (item, text) in enumerate(texts.items(), 1)
        ]
        return self._accept(
            CATALOGUE, CATALOGUE_SCHEMA, name, rows, repr((day, sorted(texts.items(), key=str)))
        )

    def ratings(
        self,
        pairs: list[tuple[str, str]],
        day: int = 0,
        values: Sequence[float] | None = None,
        events: Sequence[str] = (),
    ) -> Part:
        """Accept an interactions part of (user, item): ratings, each worth 5 where no values are given."""
        named = events or ["rating"] * len(pairs)
        worth = zip(pairs, values or [5.0] * len(pairs), named, strict=True)
        rows = [
            (user, item, event, value, NOON + timedelta(days=day, minutes=n), n + 1)
            for n, ((user, item), value, event) in enumerate(worth)
        ]
        content = repr((day, pairs) if values is None else (day, pairs, values)) + "".join(events)
        return self._accept(INTERACTIONS, INTERACTIONS_SCHEMA, f"ratings-{day}.csv", rows, content)

    def _accept(self, kind: str, schema: pa.Schema, name: str, rows: list[tuple], content: str) -> Part:
        digest = hashlib.sha256(content.encode()).hexdigest()
        part = part_id(next_sequence(self.at.data), digest)
        plain = [column for column in schema.names if column != "part"]
        columns = {c: [row[n] for row in rows] for n, c in enumerate(plain)} | {"part": [part] * len(rows)}
        arrival = Arrival(
            part=part, kind=kind, source=name, sha256=digest, size=len(content), arrived_at=NOON
        )
        return write_part(self.at.staging, self.at.data, arrival, pa.table(columns, schema=schema))

    def build(self) -> "FilmWorkspace":
        """Run the stages on the way to publishing."""
        stage("features")(self.settings, self.at)
        if self.model.dim == DIM:
            self._fill_cache()
        for name in ("profiles@champion", "users", "index"):
            stage(name)(self.settings, self.at)
        return self

    def _fill_cache(self) -> None:
        """The tiny encoder cannot encode: its vectors are in the cache before anybody asks for them."""
        vectors = VectorCache(self.at.vectors / f"{self.model.encoder.hash}-{PREPROCESSING_VERSION}", DIM)
        files = feature_files(self.at.features)
        hashes = {one for file in files for one in pq.read_table(file.path)["text_hash"].to_pylist()}
        unknown = sorted(one for one in hashes if not vectors.holds([one])[0])
        if unknown:
            vectors.add(unknown, np.stack([vector_of(one) for one in unknown]))

    def publisher(self, **changes: object) -> Publisher:
        params = self.settings.publish
        if self.model.dim == DIM:
            params = params.model_copy(update={"smoke_queries": 0})
        chosen = {name: getattr(self.settings, name) for name in ("features", "feedback", "index", "search")}
        plain = {"params": params, **chosen, "code_commit": "c0ffee", "by": "test"}
        return Publisher(**(plain | changes))

    def publish(self, storage: Storage, **changes: object) -> Published:
        return publish(storage, self.at, self.publisher(**changes))
