"""Stage `features`: one text per item, a file per catalogue part."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.artifacts import Artifacts
from recsys.catalogue.parts import CATALOGUE, list_parts
from recsys.features.text import feature_key, feature_path, item_texts
from recsys.settings import Settings
from recsys.storage.atomic import write_parquet
from recsys.storage.strays import remove_strays


def run(settings: Settings, at: Artifacts) -> None:
    """Make the feature files that are missing; what the parts at hand do not name is removed.

    Reads:   at.data, catalogue parts
    Writes:  at.features, a file per part, named by content key
    Raises:  EncoderError when a live row has no text
    """
    at.features.mkdir(parents=True, exist_ok=True)
    wanted: set[Path] = set()
    for part in list_parts(at.data, CATALOGUE):
        key = feature_key(part.arrival.rows_sha256, settings.features)
        path = feature_path(at.features, part.id, key)
        if not _whole(path, part.arrival.n_rows):
            write_parquet(path, item_texts(part.rows(), settings.features))
        wanted.add(path)
    remove_strays(at.features, wanted)


def _whole(path: Path, n_rows: int) -> bool:
    """Whether the file is there, its footer readable and its rows all in: what can be checked each time."""
    try:
        found: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return False
    return found == n_rows
