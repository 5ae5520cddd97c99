"""Read the format of MIND, Microsoft's news data: who was shown which articles, and what was clicked.

behaviors.tsv has no header: impression id, user id, time (11/11/2019 9:05:58 AM), history and impressions; the last two
are lists of article ids apart by spaces, each impression with -1 or -0 for clicked or not. news.tsv: article id,
category, subcategory, title, abstract, url, and entities of title and abstract.

The data may not be passed on (Microsoft Research Licence), so nothing here is measured on it; Wu et al. 2020 (ACL).
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

TIME_FORM = "%m/%d/%Y %I:%M:%S %p"
N_BEHAVIOR, N_NEWS = 5, 8
"""Columns of a row."""


@dataclass(frozen=True)
class Mind:
    """A part of MIND as tables."""

    items: pa.Table
    """item_id, title, description, tags."""
    impressions: pa.Table
    """user_id, item_id, request, position (from 1), timestamp and clicked, in the order of the file."""
    histories: pa.Table
    """user_id and item_id: what users clicked before, each pair once."""


def read_mind(folder: Path) -> Mind:
    """Read a folder with behaviors.tsv and news.tsv.

    Args:
        folder: of MINDsmall_train and the like.

    Returns:
        The tables.

    Raises:
        ValueError: a row has other columns, or an impression does not say whether it was clicked; names file and line.
    """
    shown: list[tuple[str, str, str, int, datetime, bool]] = []
    known: dict[tuple[str, str], None] = {}
    path = folder / "behaviors.tsv"
    for line, (request, user, time, history, impressions) in _rows(path, N_BEHAVIOR):
        at = datetime.strptime(time, TIME_FORM).replace(tzinfo=UTC)
        known |= dict.fromkeys((user, item) for item in history.split())
        for position, one in enumerate(impressions.split(), 1):
            item, dash, clicked = one.rpartition("-")
            if not (dash and item and clicked in {"0", "1"}):
                raise ValueError(f"{path}, line {line}: impression {one!r} does not end with -0 or -1")
            shown.append((user, item, request, position, at, clicked == "1"))
    names = ("user_id", "item_id", "request", "position", "timestamp", "clicked")
    kinds = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.timestamp("us", tz="UTC"), pa.bool_())
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    pairs = pa.schema([("user_id", pa.string()), ("item_id", pa.string())])
    return Mind(
        _items(folder / "news.tsv"),
        pa.Table.from_pylist([dict(zip(names, one, strict=True)) for one in shown], schema),
        pa.Table.from_pylist([{"user_id": user, "item_id": item} for user, item in known], pairs),
    )


def _items(path: Path) -> pa.Table:
    names = ("item_id", "title", "description", "tags")
    rows = [
        (item, title, abstract, [category, subcategory])
        for _, (item, category, subcategory, title, abstract, *_) in _rows(path, N_NEWS)
    ]
    kinds = (pa.string(), pa.string(), pa.string(), pa.list_(pa.string()))
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    return pa.Table.from_pylist([dict(zip(names, one, strict=True)) for one in rows], schema)


def _rows(path: Path, n_columns: int) -> Iterator[tuple[int, list[str]]]:
    """Lines with their numbers, from 1."""
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if len(row) != n_columns:
                raise ValueError(f"{path}, line {line}: {len(row)} columns, not {n_columns}")
            yield line, row
