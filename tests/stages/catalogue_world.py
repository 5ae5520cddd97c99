"""A workspace with accepted catalogue parts and a small real encoder as its champion."""

from datetime import UTC, datetime
from hashlib import sha256

import pyarrow as pa
import yaml

from recsys.catalogue.arrival import Arrival
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts, write_part
from recsys.catalogue.schemas import CATALOGUE_SCHEMA
from recsys.encoders.pack import pack_encoder
from recsys.models.reference import ModelReference
from recsys.settings import Settings
from tests.encoders.models import MAX_TOKENS


def champion(at, source):
    """Make params.yaml name a small model, pack it, and make it the champion; answers the settings."""
    values = yaml.safe_load(at.params.read_text())
    values["encoder"] |= {"source": str(source), "max_tokens": MAX_TOKENS}
    values["profiles"]["chunk_texts"] = 4
    at.params.write_text(yaml.safe_dump(values))
    settings = Settings.load(at.params)
    ModelReference.of(pack_encoder(settings.encoder, at.encoders, ())).save(at.model_reference("champion"))
    return settings


def land(at, titles, deleted=()):
    """Accept one catalogue part: item -> title; `deleted` items are tombstones. Answers the part."""
    sequence = 1 + len(list_parts(at.data, CATALOGUE))
    digest = sha256(repr((sequence, titles, deleted)).encode()).hexdigest()
    part = f"{sequence:06d}-{digest[:10]}"
    rows = [
        dict.fromkeys(CATALOGUE_SCHEMA.names)
        | {
            "item_id": item,
            "title": title,
            "tags": ["x"],
            "updated_at": datetime(2026, 1, sequence, tzinfo=UTC),
            "deleted": item in deleted,
            "part": part,
            "line": line,
        }
        for line, (item, title) in enumerate({**titles, **dict.fromkeys(deleted)}.items(), start=1)
    ]
    arrival = Arrival(
        part=part,
        kind=CATALOGUE,
        source="x.csv",
        sha256=digest,
        size=1,
        arrived_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return write_part(at.staging, at.data, arrival, pa.Table.from_pylist(rows, CATALOGUE_SCHEMA))


def contents(folder):
    """Name -> bytes of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
