"""Folds of items to hold out cold: the newest of the training side and, where items are few, random ones as well."""

import json
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.held_out import hash_share
from recsys.storage.tables import in_blocks

# Shape suffixes: I items, W warm items.
VALIDATION_SHARE = 0.2
ONE_FOLD_FROM = 5000
"""With at least this many warm items a fold is large enough to be sure of."""
SALTS = ("first", "second", "third")
"""Salts of the random folds. There is no empty one: the unsalted hash chooses the holdout of stage `split`."""
MAX_ALIKE = 0.5
"""Share of the warm items that may have the same time, or none. Above it, times do not tell new from old."""
DATE_NAME = re.compile(
    r"(.*_)?(date|year|released|published|created|added|updated|timestamp)(_(at|on|utc|time|date))?"
    r"|(date|year)_(of|first|added|created|made|published|released)(_.*)?"
)
"""Matches a whole name in snake case. `runtime`, `yearly_sales` and `added_to_cart` are not dates."""


def cold_folds(
    item_ids: Sequence[str],
    warm: NDArray[np.int64],
    seed: int,
    times: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Hold out the newest fifth of the warm items, once for each kind of time, and random fifths where items are few.

    New items differ from old ones and random items do not, so random folds alone are too optimistic. But the newest
    fifth of a small catalogue is few items of one kind: what helps on them alone is often luck. So below
    `ONE_FOLD_FROM` warm items there are three random folds in addition to the newest, and a choice has to hold on both.
    It is unknown which kind of time matters for new items, so each kind has a fold. Without times there are random
    folds alone: three, or one where many items are warm.

    Args:
        item_ids: of all rows.
        warm: rows of items with interactions.
        seed: of the hash that draws random folds, and that orders items of the same time.
        times: kind -> time of each row; larger is newer, NaN is unknown and counts as old.

    Returns:
        Kind of time -> rows of the fold, ascending; then `random 1`, …
    """
    found = {}
    for kind, times_I in (times or {}).items():
        held = newest(item_ids, warm, seed, times_I)
        if held is not None and len(held):
            found[kind] = held
    if len(warm) < ONE_FOLD_FROM:
        salts: tuple[str, ...] = SALTS
    else:
        salts = () if found else SALTS[:1]
    return found | {
        f"random {place}": np.array(
            [row for row in warm if hash_share(seed, salt, item_ids[row]) < VALIDATION_SHARE], np.int64
        )
        for place, salt in enumerate(salts, 1)
    }


def dates_of(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, NDArray[np.float64]]:
    """Find the columns of a catalogue that tell when an item came out: those named like a date or a year.

    Args:
        columns: name -> values, one per row.

    Returns:
        Name -> time of each row, see `times_of`. Columns of which less than half can be parsed are left out.
    """
    named = {name: times_of(column) for name, column in columns.items() if is_date_name(name)}
    return {name: times_I for name, times_I in named.items() if 2 * np.isfinite(times_I).sum() > len(times_I)}


def is_date_name(name: str) -> bool:
    """Whether a column of this name tells a date or a year."""
    return DATE_NAME.fullmatch(_snake_case(name)) is not None


def dates_in_attributes(attributes: pa.ChunkedArray) -> dict[str, NDArray[np.float64]]:
    """Find dates in the attributes that a catalogue stores as JSON.

    Args:
        attributes: a JSON object per item, as text; null where it has none.

    Returns:
        Name -> time of each item, see `dates_of`.
    """
    table = pa.table({"attributes": attributes})
    blocks = [_named_dates(block["attributes"].to_pylist()) for block in in_blocks(table)]
    names = sorted({name for block, _ in blocks for name in block})
    return dates_of(
        {
            name: pa.chunked_array([block.get(name, pa.nulls(n, pa.string())) for block, n in blocks])
            for name in names
        }
    )


def _named_dates(attributes: Sequence[str | None]) -> tuple[dict[str, pa.Array], int]:
    """The values, as texts, of all attributes of some items that are named like dates; and the number of items."""
    per_item = [json.loads(one or "{}") for one in attributes]
    names = {name for one in per_item for name in one}
    found = {
        name: pa.array([None if one.get(name) is None else str(one[name]) for one in per_item], pa.string())
        for name in names
        if is_date_name(name)
    }
    return found, len(per_item)


def times_of(column: pa.ChunkedArray | pa.Array) -> NDArray[np.float64]:
    """Convert times to numbers. Only their order matters, not their unit.

    Args:
        column: timestamps, dates, numbers such as years or seconds, or text of any of these.

    Returns:
        float64; NaN where a value is not a time.
    """
    import pandas as pd

    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_boolean(kind) or pa.types.is_binary(kind):
        return np.full(len(column), np.nan)
    values = column.to_pandas()
    if pa.types.is_temporal(kind):
        stamps = pd.to_datetime(values, errors="coerce", utc=True)
    else:
        numbers = pd.to_numeric(values, errors="coerce")
        if 2 * numbers.notna().sum() > values.notna().sum():
            return np.asarray(numbers, np.float64)
        stamps = pd.to_datetime(values, errors="coerce", format="mixed", utc=True)
    seconds = (stamps - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return np.asarray(seconds, np.float64)


def newest(
    item_ids: Sequence[str],
    warm: NDArray[np.int64],
    seed: int,
    times_I: NDArray[np.float64],
    share: float = VALIDATION_SHARE,
) -> NDArray[np.int64] | None:
    """Find the newest share of the warm items.

    Args:
        item_ids: of all rows.
        warm: rows that somebody interacted with.
        seed: orders items of the same time.
        times_I: larger is newer; NaN is unknown and counts as old.
        share: of the warm items.

    Returns:
        Rows, ascending; None where too many have the same time, or no time, to tell new from old.
    """
    times_W = times_I[warm]
    known_W = times_W[np.isfinite(times_W)]
    n_alike = max(np.unique(known_W, return_counts=True)[1].max(initial=0), len(times_W) - len(known_W))
    if len(warm) == 0 or n_alike > MAX_ALIKE * len(times_W):
        return None
    old_first = np.where(np.isfinite(times_W), times_W, -np.inf)
    ties = np.array([hash_share(seed, "same time", item_ids[row]) for row in warm])
    order = np.lexsort((ties, old_first))
    return np.sort(warm[order[len(order) - round(share * len(order)) :]])


def _snake_case(name: str) -> str:
    """Turn releaseDate, "Release date" and release-date into release_date."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"\W+", "_", apart).lower()
