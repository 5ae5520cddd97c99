"""Forms of JSON that hold no rows that could be read: recognised by their first object and refused by name."""

from collections.abc import Mapping
from typing import Any

from recsys.catalogue.readers.rows import LandedFile
from recsys.catalogue.readers.separators import names_key

_AS_RECORDS = "write one object per row: df.to_json(path, orient='records', lines=True)"
_AS_OBJECTS = "write an object {name: value} for each row"


def refuse_by_name(values: Mapping[str, Any], file: LandedFile) -> None:
    """Refuse a file by its first object.

    Args:
        values: the object.
        file: for the message.

    Raises:
        UnreadableFile: it is a change record, an item whose every value names its type, a library's record, an answer
            with lists instead of rows, or an error.
    """
    payload, listed = values.get("payload"), values.get("Items")
    if any({"before", "after", "op"} <= set(one) for one in (values, payload) if isinstance(one, dict)):
        raise file.unreadable(
            "these are change records of Debezium, not rows",
            "land whole rows: let its transform ExtractNewRecordState write them",
        )
    _refuse_typed(values, ".", file)
    _refuse_typed(values.get("Item") if len(values) == 1 else None, ".Item", file)
    _refuse_typed(listed[0] if isinstance(listed, list) and listed else None, ".Items[]", file)
    if {"leader", "fields"} <= set(values):
        raise file.unreadable(
            "these are MARC records, whose fields have numbers",
            "write a row with item_id (001), title (245) and description (520) for each record",
        )
    _refuse_nameless(values, file)
    if len(values) == 1 and any(values.get(name) for name in ("error", "errors")):
        raise file.unreadable("this is an error that a service answered with, not its rows", "ask it again")


def table_in_one(values: Mapping[str, Any], *, is_row: bool) -> tuple[str, str] | None:
    """Recognise a file whose only object holds a whole table.

    Args:
        values: the object.
        is_row: whether it may be a row.

    Returns:
        What it is and what to do, or None.
    """
    if values and all(isinstance(value, dict) for value in values.values()):
        return (
            "the whole table is one object of columns, or of rows by their ids (pandas: orient='columns' or 'index')",
            f"{_AS_RECORDS}; rows by ids: jq -c 'to_entries[] | {{item_id: .key}} + .value'",
        )
    if values and not is_row and any(value == [] for value in values.values()):
        return "this is an answer without rows", "it need not land; take it away"
    if not names_key(values) and any(_is_list_of(list, value) for value in values.values()):
        return "the whole table is one object with a list of lists (pandas: orient='split')", _AS_RECORDS
    return None


def _refuse_typed(item: object, place: str, file: LandedFile) -> None:
    if isinstance(item, dict) and item and all(map(_is_typed, item.values())):
        raise file.unreadable(
            "these are items of DynamoDB, whose every value names its type",
            f"take the values out: jq -c '{place} | map_values(if .L then [.L[][]] else .[] end)'",
        )


def _is_typed(value: object) -> bool:
    """Whether a value is one of DynamoDB, such as {"S": "text"}."""
    return (
        isinstance(value, dict) and len(value) == 1 and set(value) <= {*"SNBLM", "SS", "NS", "BOOL", "NULL"}
    )


def _refuse_nameless(values: Mapping[str, Any], file: LandedFile) -> None:
    """Refuse answers whose rows are lists of values, beside a list of the columns."""
    inner = values.get("data")
    for one in (values, inner) if isinstance(inner, dict) else (values,):
        rows: Any = one.get("rows")
        if _is_list_of(dict, rows) and set(rows[0]) == {"f"}:
            raise file.unreadable(
                "this is an answer of BigQuery, whose values have no names",
                "export the table as JSON lines: bq extract --destination_format NEWLINE_DELIMITED_JSON",
            )
        if _is_list_of(list, rows) and any(_is_list_of(dict, beside) for beside in one.values()):
            raise file.unreadable(
                "its rows are lists, and the names of the columns stand beside them", _AS_OBJECTS
            )


def _is_list_of(kind: type, value: Any) -> bool:  # noqa: ANN401  any JSON
    return isinstance(value, list) and bool(value) and isinstance(value[0], kind)
