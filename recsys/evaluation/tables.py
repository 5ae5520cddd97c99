"""Read a benchmark's own files: parquet, csv or jsonl with ids as text, whatever type they were written in."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recsys.errors import UnreadableFile

ENDINGS = (".parquet", ".csv", ".jsonl")


def read_table(path: Path, required: tuple[str, ...]) -> pa.Table:
    """Read a table and turn its id columns into text.

    Args:
        path: .parquet, .csv (with a header, UTF-8) or .jsonl.
        required: columns that must be there without gaps; ids, so they become text.

    Returns:
        The table; csv columns are all text.

    Raises:
        UnreadableFile: the file is missing, has another ending, cannot be parsed, lacks a column or an id; names it.
    """
    table = _parsed(path)
    for name in required:
        if name not in table.column_names:
            raise UnreadableFile(
                f"{path} has no column {name!r}, it has {', '.join(table.column_names)}",
                remedy=f"give it the columns {', '.join(required)}",
            )
        place = table.column_names.index(name)
        ids = _as_ids(table[name], path, name)
        table = table.set_column(place, name, ids)
    return table


def read_ids(path: Path) -> list[str]:
    """Item ids: column item_id of a table, or of a .txt file one per line.

    Args:
        path: the file.

    Returns:
        Distinct ids, in order.

    Raises:
        UnreadableFile: as `read_table`, or there are none.
    """
    if path.suffix == ".txt":
        try:
            ids = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableFile(
                f"{path} cannot be read: {error}", remedy="write UTF-8, one id per line"
            ) from error
    else:
        ids = read_table(path, ("item_id",))["item_id"].to_pylist()
    if not ids:
        raise UnreadableFile(f"{path} lists no item", remedy="list at least one cold item")
    return list(dict.fromkeys(ids))


def _parsed(path: Path) -> pa.Table:
    if path.suffix not in ENDINGS:
        raise UnreadableFile(
            f"{path} has none of the endings {', '.join(ENDINGS)}", remedy="convert or rename it"
        )
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        if path.suffix == ".csv":
            return _csv(path)
        from pyarrow import json

        # Rows may be long texts: a block must hold at least one.
        return json.read_json(path, json.ReadOptions(block_size=64 * 2**20))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise UnreadableFile(
            f"{path} cannot be read: {error}", remedy="write it again and check that it is whole"
        ) from error


def _csv(path: Path) -> pa.Table:
    from pyarrow import csv

    with csv.open_csv(path, parse_options=csv.ParseOptions(newlines_in_values=True)) as reader:
        names = reader.schema.names
    as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    return csv.read_csv(
        path, parse_options=csv.ParseOptions(newlines_in_values=True), convert_options=as_text
    )


def _as_ids(column: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    kind = column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise UnreadableFile(
            f"{path}: column {name} holds {kind}, not ids", remedy="write ids as text or whole numbers"
        )
    ids = column.cast(pa.string())
    empty = pc.fill_null(pc.equal(pc.utf8_length(ids), 0), True)
    if pc.any(empty).as_py():
        row = pc.index(empty, True).as_py() + 1
        raise UnreadableFile(f"{path}, row {row}: {name} is empty", remedy="give every row an id")
    return ids
