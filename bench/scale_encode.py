"""How fast does stage `profiles` encode on top of a catalogue of `bench.scale`, against the encoder alone?

New titles land. Stage `profiles` encodes and projects them, and then only projects them, with their vectors in the
cache: the difference is encoding as the stage does it, with its work list and cache. Then the same texts go through
`Encoder.encode`, which is what `bench.encode` measures. Processor seconds, all in one process, after a warm-up.

    python -m bench.scale_encode 100000
"""

import json
import sys
import time

import pyarrow.parquet as pq

from bench.arrivals import Catalogue
from bench.scale import World
from bench.scale_arrivals import NEW
from bench.scale_world import land_items
from recsys.artifacts import Artifacts
from recsys.catalogue.kinds import CATALOGUE
from recsys.catalogue.parts import list_parts
from recsys.features.text import feature_files
from recsys.models.opening import open_vectors
from recsys.models.reference import ModelReference
from recsys.profiles.items import list_segments
from recsys.settings import Settings

TITLES = 5_000


def main() -> None:
    """Measure; print processor seconds and texts per second of both as JSON."""
    catalogue = Catalogue(World(int(sys.argv[1])).folder)
    at = Artifacts(catalogue.root)
    _land(catalogue, NEW)
    _profiles_seconds(catalogue)
    _land(catalogue, TITLES)
    encoding_and_projecting = _profiles_seconds(catalogue)
    newest = list_segments(at.profiles("champion"))[-1]
    for path in (newest.rows_path, newest.vectors_path):
        path.unlink()
    projecting = _profiles_seconds(catalogue)
    texts = pq.read_table(feature_files(at.features)[-1].path, columns=["text"])["text"].to_pylist()
    model, params = ModelReference.load(at.model_reference("champion")), Settings.load(at.params)
    encoder = open_vectors(model, at.cache, params.encoder.batch_tokens)
    encoder.encode(texts[:NEW])
    started = time.process_time()
    encoder.encode(texts)
    alone = time.process_time() - started
    in_stage = encoding_and_projecting - projecting
    print(json.dumps({
        "texts": len(texts),
        "cpu_seconds": round(in_stage, 2),
        "cpu_seconds_of_encoder": round(alone, 2),
        "texts_per_cpu_second": round(len(texts) / in_stage),
        "texts_per_cpu_second_of_encoder": round(len(texts) / alone),
        "rate_ratio": round(alone / in_stage, 3),
    }))  # fmt: skip


def _land(catalogue: Catalogue, n: int) -> None:
    """Land so many new titles and take them as far as their texts."""
    first = sum(part.arrival.n_rows for part in list_parts(catalogue.root / "data", CATALOGUE))
    land_items(catalogue.landing, f"from-{first}.parquet", range(first, first + n))
    catalogue.command("ingest")
    catalogue.command("run", "features")


def _profiles_seconds(catalogue: Catalogue) -> float:
    started = time.process_time()
    catalogue.command("run", "profiles@champion")
    return time.process_time() - started


if __name__ == "__main__":
    main()
