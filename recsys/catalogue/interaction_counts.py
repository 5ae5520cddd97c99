"""Accepted interactions in numbers, kept from one run of stage `validate` to the next: only new parts are read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.parts import Part
from recsys.storage.checked import read_checked_table, write_checked_table

ABOUT = b"interaction_counts"
COLUMNS = ("users", "items", "n_items")
TEXT = pa.large_string()
"""Pseudonyms of 70 million users are more than the 2 GiB that an array of `pa.string()` holds."""
NO_TEXTS = pa.array([], TEXT)
ROW = 1 << 20
"""Values in a row of the cache's file; a page of Parquet holds at least one row, and less than 2 GiB."""


@dataclass(frozen=True)
class InteractionCounts:
    """What some parts hold."""

    parts: tuple[str, ...] = ()
    """SHA-256 of their rows, sorted."""
    without_time: int = 0
    users: pa.Array = field(default_factory=lambda: NO_TEXTS)
    """Distinct pseudonyms."""
    items: pa.Array = field(default_factory=lambda: NO_TEXTS)
    """Distinct ids."""
    n_items: pa.Array = field(default_factory=lambda: pa.array([], pa.int64()))
    """Interactions of each of `items`."""

    @classmethod
    def of(cls, part: Part) -> "InteractionCounts":
        """Count those of one part."""
        rows = part.rows(["user", "item_id", "timestamp"])
        counts = pc.value_counts(rows["item_id"].cast(TEXT))
        return cls(
            (part.arrival.rows_sha256,),
            rows["timestamp"].null_count,
            pc.unique(rows["user"].cast(TEXT)),
            counts.field("values"),
            counts.field("counts"),
        )

    def report(self, live: pa.Array) -> dict[str, int]:
        """The counts as stage `validate` writes them.

        Args:
            live: ids of the items that stand.

        Returns:
            Interactions, distinct users and items, interactions of other items, and those without a time.
        """
        gone = pc.invert(pc.is_in(self.items, value_set=live.cast(TEXT)))
        return {
            "n": pc.sum(self.n_items).as_py() or 0,
            "users": len(self.users),
            "items": len(self.items),
            "of_items_no_longer_live": pc.sum(self.n_items.filter(gone)).as_py() or 0,
            "without_time": self.without_time,
        }

    def save(self, path: Path) -> None:
        """Write it to a cache."""
        values = {name: getattr(self, name) for name in COLUMNS}
        n_rows = max(1, *(-(-len(one) // ROW) for one in values.values()))
        columns = {name: _in_rows(one, n_rows) for name, one in values.items()}
        about = {ABOUT: json.dumps([self.parts, self.without_time])}
        write_checked_table(path, pa.table(columns).replace_schema_metadata(about), row_group_size=1)

    @classmethod
    def load(cls, path: Path) -> "InteractionCounts":
        """Read what `save` wrote; of no part where it is missing or damaged, since it only saves time."""
        table = read_checked_table(path)
        if table is None:
            return cls()
        parts, without_time = json.loads(table.schema.metadata[ABOUT])
        users, items, n_items = (
            pa.concat_arrays([one.flatten() for one in table[name].chunks]) for name in COLUMNS
        )
        return cls(tuple(parts), without_time, users.cast(TEXT), items.cast(TEXT), n_items)


def count_interactions(before: InteractionCounts, parts: Sequence[Part]) -> InteractionCounts:
    """Count the interactions of some parts; of those that were counted before nothing is read.

    Args:
        before: counts of some of the parts; where it holds others too, all are counted again.
        parts: of one kind.

    Returns:
        The counts; they equal those from nothing, but for the order of users and items.
    """
    known, wanted = set(before.parts), {part.arrival.rows_sha256 for part in parts}
    if not known <= wanted or len(wanted) < len(parts):
        before = InteractionCounts()
    new = [part for part in parts if part.arrival.rows_sha256 not in before.parts]
    return _sum([before, *map(InteractionCounts.of, new)]) if new else before


def _sum(found: Sequence[InteractionCounts]) -> InteractionCounts:
    items = pa.concat_arrays([one.items for one in found]).dictionary_encode()
    n_items = np.concatenate([one.n_items.to_numpy() for one in found])
    return InteractionCounts(
        tuple(sorted(part for one in found for part in one.parts)),
        sum(one.without_time for one in found),
        pa.concat_arrays([one.users for one in found]).unique(),
        items.dictionary,
        pa.array(np.bincount(items.indices, n_items, len(items.dictionary)).astype(np.int64)),
    )


def _in_rows(values: pa.Array, n_rows: int) -> pa.ListArray:
    """Lists of ROW values; empty ones at the end, as columns differ in length."""
    offsets = np.minimum(np.arange(n_rows + 1) * ROW, len(values))
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)
