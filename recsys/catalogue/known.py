"""Which items are known: the newest row of each item over all catalogue parts."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.parts import CATALOGUE, SCHEMAS, Part, sequence_of

COLUMNS = ["item_id", "updated_at", "deleted", "part", "line"]


def newest_rows(table: pa.Table) -> pa.Table:
    """One row per item: latest updated_at, ties by part order, then line.

    Args:
        table: rows with at least the columns of COLUMNS, from any parts.

    Returns:
        The winning rows, sorted by part order and line.
    """
    place = pa.array(part_ranks(table["part"]))
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


def part_ranks(parts: pa.ChunkedArray) -> NDArray[np.int64]:
    """For each row, the rank of its part in the order of acceptance (which is not the order of the texts of ids).

    Args:
        parts: part ids.

    Returns:
        int64, one per row: 0 for the oldest part among them.
    """
    encoded = parts.combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    ordered = sorted(names, key=lambda name: (sequence_of(name), name))
    place = {name: number for number, name in enumerate(ordered)}
    rank = np.array([place[name] for name in names], np.int64)
    return rank[np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64)]


def newest_among(parts: Sequence[Part], among: pa.Array | pa.ChunkedArray | None = None) -> pa.Table:
    """The newest row of each item, deletes included.

    Args:
        parts: catalogue parts in order.
        among: only these ids; None for all.

    Returns:
        Columns COLUMNS, one row per item that was ever accepted.

    Raises:
        RecsysError: a part's rows cannot be read; names the file.
    """
    found = [SCHEMAS[CATALOGUE].empty_table().select(COLUMNS)]
    wanted = None if among is None else pc.unique(among)
    for part in parts:
        ids = part.rows(COLUMNS)
        found.append(ids if wanted is None else ids.filter(pc.is_in(ids["item_id"], value_set=wanted)))
    return newest_rows(pa.concat_tables(found))


def live_items(parts: Sequence[Part], among: pa.Array | pa.ChunkedArray | None = None) -> set[str]:
    """Items whose newest row is not a delete.

    Args:
        parts: catalogue parts in order.
        among: only these ids; None for all.

    Returns:
        Their ids.

    Raises:
        RecsysError: a part's rows cannot be read; names the file.
    """
    newest = newest_among(parts, among)
    return set(newest.filter(pc.invert(newest["deleted"]))["item_id"].to_pylist())
