"""Which items are known: the newest row of each item over all catalogue parts."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.catalogue.parts import Part, sequence_of

COLUMNS = ["item_id", "updated_at", "deleted", "part", "line"]


def newest_rows(table: pa.Table) -> pa.Table:
    """One row per item: latest updated_at, ties by part order, then line.

    Args:
        table: rows with at least the columns of COLUMNS, from any parts.

    Returns:
        The winning rows, sorted by part order and line.
    """
    parts = table["part"].combine_chunks().dictionary_encode()
    names = parts.dictionary.to_pylist()
    rank = {name: place for place, name in enumerate(sorted(names, key=_part_key))}
    place = pc.take(pa.array([rank[name] for name in names], pa.int64()), parts.indices)
    ordered = pa.table(
        [
            table["item_id"],
            table["updated_at"],
            place,
            table["line"],
            pa.array(np.arange(table.num_rows)),
        ],
        names=["item_id", "updated_at", "place", "line", "row"],
    ).sort_by([("updated_at", "ascending"), ("place", "ascending"), ("line", "ascending")])
    winners = ordered.group_by("item_id", use_threads=False).aggregate([("row", "last")])
    won = table.take(winners["row_last"])
    by_place = pa.table([pc.take(place, winners["row_last"]), won["line"]], names=["place", "line"])
    return won.take(pc.sort_indices(by_place, [("place", "ascending"), ("line", "ascending")]))


def live_items(parts: Sequence[Part], among: pa.Array | pa.ChunkedArray | None = None) -> set[str]:
    """Items whose newest row is not a delete.

    Args:
        parts: catalogue parts in order.
        among: only these ids are asked about; None for all.

    Returns:
        Their ids.

    Raises:
        RecsysError: a part's rows cannot be read; names the file.
    """
    found = []
    wanted = None if among is None else pc.unique(among)
    for part in parts:
        ids = part.rows(COLUMNS)
        found.append(ids if wanted is None else ids.filter(pc.is_in(ids["item_id"], value_set=wanted)))
    if not found:
        return set()
    newest = newest_rows(pa.concat_tables(found))
    return set(newest.filter(pc.invert(newest["deleted"]))["item_id"].to_pylist())


def _part_key(part: str) -> tuple[int, str]:
    return sequence_of(part), part
