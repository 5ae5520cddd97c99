"""Current rows: the newest row of each item, relation or vector over all parts of its kind."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.kinds import CATALOGUE, KINDS
from recsys.catalogue.parts import Part, sequence_of
from recsys.catalogue.schemas import SCHEMAS

COLUMNS = ["item_id", "updated_at", "deleted", "part", "line"]
"""Columns that decide which row of an item is the newest."""

# Shape suffix: R rows of a table.
BETWEEN = "\x1f"
"""Joins the columns of a key. No id holds a control character, so that no two keys become one."""


def keys_of(table: pa.Table, kind: str) -> pa.ChunkedArray:
    """The key of each row: the key columns of its kind as one text.

    Args:
        table: rows with the columns of the key.
        kind: one with a key, see `KINDS`.

    Returns:
        One text per row.
    """
    names = KINDS[kind].key
    if len(names) == 1:
        return table[names[0]]
    keys = pc.binary_join_element_wise(*(table[name] for name in names), BETWEEN)
    return pa.chunked_array([keys]) if isinstance(keys, pa.Array) else keys


def newest_rows(table: pa.Table, kind: str = CATALOGUE) -> pa.Table:
    """One row per key of the kind, such as per item: latest updated_at, ties by part order, then line.

    Args:
        table: rows with at least the columns of the key, updated_at, part and line, from any parts.
        kind: of the rows.

    Returns:
        The winning rows, sorted by part order and line.
    """
    places = newest_places(table, kind)
    if len(places) == len(table) and (np.diff(places) > 0).all():
        return table
    return table.take(pa.array(places))


def newest_places(table: pa.Table, kind: str = CATALOGUE) -> NDArray[np.int64]:
    """Places of the rows that `newest_rows` returns, in its order.

    Args:
        table: as there.
        kind: of the rows.

    Returns:
        Row numbers.
    """
    chunks = (
        keys_of(table, kind).dictionary_encode().chunks
    )  # with one dictionary; as one text column: 2 GiB at most
    key_R = np.concatenate([np.empty(0, np.int32), *(np.asarray(chunk.indices) for chunk in chunks)])
    place_R, line_R = part_ranks(table["part"]), table["line"].to_numpy()
    is_newest_R: NDArray[np.bool_] = np.bincount(key_R)[key_R] == 1 if len(key_R) else np.ones(0, np.bool_)
    repeated = np.flatnonzero(~is_newest_R)
    if len(repeated):
        stamp_R = table["updated_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
        newest_last = repeated[
            np.lexsort((line_R[repeated], place_R[repeated], stamp_R[repeated], key_R[repeated]))
        ]
        is_last = np.append(np.diff(key_R[newest_last]) != 0, True)
        is_newest_R[newest_last[is_last]] = True
    won = np.flatnonzero(is_newest_R)
    places: NDArray[np.int64] = won[np.lexsort((line_R[won], place_R[won]))]
    return places


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


def newest_among(
    parts: Sequence[Part], among: pa.Array | pa.ChunkedArray | None = None, kind: str = CATALOGUE
) -> pa.Table:
    """The newest row of each key of a kind, such as of each item, deletes included.

    Args:
        parts: of the kind, in order.
        among: only these keys, as `keys_of` makes them; None for all.
        kind: one with a key.

    Returns:
        The columns of the key, updated_at, deleted, part and line; one row per key that was ever accepted.

    Raises:
        RecsysError: a part's rows cannot be read; names the file.
    """
    columns = [*KINDS[kind].key, *COLUMNS[1:]]
    found = [SCHEMAS[kind].empty_table().select(columns)]
    wanted = None if among is None else pc.unique(among)
    for part in parts:
        if wanted is None:
            found.append(part.rows(columns))
            continue
        is_wanted = pc.is_in(keys_of(part.rows(KINDS[kind].key), kind), value_set=wanted)
        if pc.any(is_wanted).as_py():  # few parts hold any: of the others only the keys are read
            found.append(part.rows(columns).filter(is_wanted))
    return newest_rows(pa.concat_tables(found), kind)


def standing_rows(parts: Sequence[Part], kind: str, columns: Sequence[str]) -> pa.Table:
    """Current rows of a kind: the newest row of each key, unless it is a delete.

    Args:
        parts: of the kind, in order.
        kind: one with a key.
        columns: those wanted.

    Returns:
        These columns, in part order.

    Raises:
        RecsysError: a part's rows cannot be read; names the file.
    """
    newest = newest_among(parts, kind=kind)
    live = newest.filter(pc.invert(newest["deleted"])).select(["part", "line"])
    found = [SCHEMAS[kind].empty_table().select(columns)]
    for part in parts:
        places = part.rows(["part", "line"])
        numbered = places.append_column("row", pa.array(np.arange(places.num_rows)))
        rows = numbered.join(live, keys=["part", "line"], join_type="inner")["row"].to_numpy()
        found.append(part.rows(columns).take(pa.array(np.sort(rows))))
    return pa.concat_tables(found)


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
