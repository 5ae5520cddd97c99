"""Versions of items, whose texts change over time: find the version that a split chose, by part and line."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.errors import ArtifactMissing


def places_of(items: pa.Table, rows: pa.Table, what: str) -> NDArray[np.int64]:
    """Find the place of each item's chosen version in `rows`.

    Args:
        items: item_id, part and line of the chosen versions.
        rows: item_id, part and line of all versions.
        what: what the rows hold, for messages.

    Returns:
        One place per item.

    Raises:
        ArtifactMissing: a version is missing; names item, part and line.
    """
    keyed = rows.select(["item_id", "part", "line"]).append_column("place", pa.array(np.arange(len(rows))))
    wanted = items.select(["item_id", "part", "line"]).append_column("order", pa.array(np.arange(len(items))))
    joined = wanted.join(keyed, keys=["item_id", "part", "line"], join_type="left outer").sort_by("order")
    _require(joined, joined["place"], what)
    return np.asarray(joined["place"].combine_chunks(), np.int64)


def texts_of(items: pa.Table, versions: pa.Table) -> tuple[str, ...]:
    """The text of each item's chosen version.

    Args:
        items: item_id, part and line of the chosen versions.
        versions: rows of the features: item_id, part, line and text.

    Returns:
        One text per item.

    Raises:
        ArtifactMissing: a text is missing; names item, part and line.
    """
    texts = versions["text"].take(pa.array(places_of(items, versions, "text")))
    _require(items, texts, "text")
    return tuple(texts.to_pylist())


def _require(items: pa.Table, values: pa.ChunkedArray, what: str) -> None:
    missing = items.filter(pc.is_null(values))
    if missing.num_rows:
        one = missing.slice(0, 1).to_pylist()[0]
        raise ArtifactMissing(
            f"item {one['item_id']!r} has no {what} from part {one['part']}, line {one['line']}",
            remedy="features, split and profiles belong to different data: run dvc repro split, then this stage again",
        )
