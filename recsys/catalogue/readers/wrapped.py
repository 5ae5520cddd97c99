"""Rows inside other JSON objects, as search engines, databases and web services export them.

Read where only one meaning is possible: the one list of objects in an answer, or the same inner object in each line.
Other forms are refused by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType
from typing import Any

from recsys.catalogue.fields import BadRow
from recsys.catalogue.folding import folded
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.likely_columns import likely_names
from recsys.catalogue.readers.pages import page_note
from recsys.catalogue.readers.rows import LandedFile, RawRow
from recsys.catalogue.readers.separators import names_key

_AS_RECORDS = "write one object per row: df.to_json(path, orient='records', lines=True)"
_MAX_PATH = 4
"""Objects around the list of an answer, such as data, products, edges."""

_AIRBYTE = ("ab_id", "raw_id", "emitted_at", "extracted_at", "loaded_at", "meta")
_INNER: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "_source": (
            ("_id",),
            (
                *(
                    "_index",
                    "_type",
                    "_score",
                    "_version",
                    "_routing",
                    "_ignored",
                    "_seq_no",
                    "_primary_term",
                ),
                *("found", "sort", "highlight", "fields", "matched_queries", "inner_hits"),
            ),
        ),
        "node": ((), ("cursor", "__typename")),
        "attributes": (("id", "type"), ("links", "relationships", "meta")),
        "_airbyte_data": ((), tuple(f"_airbyte_{name}" for name in _AIRBYTE)),
    }
)
"""Inner object that is the row -> what around it belongs to the row, and what else may be there: Elasticsearch and
OpenSearch, GraphQL, JSON:API, Airbyte."""
_WRITES, _CHANGES = frozenset({"index", "create"}), frozenset({"update", "delete"})
"""Actions of a bulk request of Elasticsearch: those before a whole document, and those that are none."""
_OF_ACTIONS = (
    "routing pipeline parent version version_type if_seq_no if_primary_term retry_on_conflict require_alias "
    "require_data_stream dynamic_templates list_executed_pipelines"
)
"""What an action may say, beside names that begin with _."""
_OF_ANSWERS = (
    "status message code kind object type url etag version nextpagetoken nextcursor cursor requestid"
)
"""What an answer may say of itself, folded."""
_ASIDE = frozenset({"errors", "included"})
"""Lists beside the rows of an answer: GraphQL, JSON:API."""
_TRIED = 1000
"""So many rows at the beginning may be unreadable before objects around the others are looked for no more."""


def unwrapped(rows: Iterator[RawRow], file: LandedFile, notes: list[str]) -> Iterator[RawRow]:
    """The rows, taken out of objects around them where there are any; the first two objects show it.

    Args:
        rows: one per object of the file.
        file: for messages.
        notes: takes what people should know.

    Yields:
        One row per row. Rows of a list have the line where its object begins.

    Raises:
        UnreadableFile: the objects are no rows, in a form that has a name.
    """
    begun = _beginning(rows)
    sound = [row for row in begun if row.fault is None]
    whole = chain(begun, rows)
    if not sound:
        yield from whole
        return
    first, is_alone = sound[0], len(begun) == 1
    _refuse_by_name(first.values, file)
    if _is_action(first.values):
        notes.append("the action lines of a bulk request were left out")
        yield from _after_actions(whole, file)
    elif is_alone and (path := _list_path(first.values, file)):
        yield from _of_list(first, path, file, notes)
    elif inner := _inner([row.values for row in sound]):
        notes.append(f"each row was read out of {_named('the object', inner, file)} around it")
        yield from (_out_of(row, inner, file) for row in whole)
    else:
        if is_alone and (table := _table_in_one(first.values)):
            raise file.unreadable(*table)
        yield from whole


def _beginning(rows: Iterator[RawRow]) -> list[RawRow]:
    """The rows up to the second one that could be read: a file may begin in the middle of a row."""
    begun, n_sound = list[RawRow](), 0
    for row in islice(rows, _TRIED):
        begun.append(row)
        n_sound += row.fault is None
        if n_sound == 2:  # noqa: PLR2004
            break
    return begun


def _refuse_by_name(values: Mapping[str, Any], file: LandedFile) -> None:
    """Refuse records of changes, and items whose every value names its type."""
    payload = values.get("payload")
    if any({"before", "after", "op"} <= set(one) for one in (values, payload) if isinstance(one, dict)):
        raise file.unreadable(
            "these are change records of Debezium, not rows",
            "land whole rows: let its transform ExtractNewRecordState write them",
        )
    listed = values.get("Items")
    _refuse_typed(values, ".", file)
    _refuse_typed(values.get("Item") if len(values) == 1 else None, ".Item", file)
    _refuse_typed(listed[0] if isinstance(listed, list) and listed else None, ".Items[]", file)
    if len(values) == 1 and any(values.get(name) for name in ("error", "errors")):
        raise file.unreadable("this is an error that a service answered with, not its rows", "ask it again")


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


def _is_action(values: Mapping[str, Any]) -> bool:
    """Whether an object is an action line of a bulk request: `{"index": {"_index": "shop", "_id": "7"}}`."""
    if len(values) != 1:
        return False
    ((name, about),) = values.items()
    if name not in _WRITES | _CHANGES or not isinstance(about, dict):
        return False
    return all(key.startswith("_") or key in _OF_ACTIONS.split() for key in about)


def _after_actions(rows: Iterator[RawRow], file: LandedFile) -> Iterator[RawRow]:
    """The documents of a bulk request, each with the id of the action before it."""
    about: dict[str, Any] = {}
    for row in rows:
        if not _is_action(row.values):
            yield row if row.fault else RawRow(row.line, _with_outer(row.values, about, ("_id",)))
            about = {}
            continue
        ((name, about),) = row.values.items()
        if name in _CHANGES:
            raise file.unreadable(
                f"a bulk request that holds the action {name!r}, which names no whole row",
                "land whole documents; a deleted item is a row with its item_id and deleted: true",
                row.line,
            )


def _list_path(values: Mapping[str, Any], file: LandedFile) -> tuple[str, ...]:
    """Where the rows of an answer are: the list of objects that fewest objects surround; empty if there is none.

    A list inside a row, such as the variants of a product, belongs to the row.
    """
    if _is_row(values):
        return ()
    if values.get("errors"):
        raise file.unreadable("this is an answer with errors, which may lack rows", "ask the service again")
    level: list[tuple[tuple[str, ...], Any]] = [((), values)]
    for _ in range(_MAX_PATH):
        level = [((*path, key), inner) for path, one in level for key, inner in one.items()]
        lists = [path for path, inner in level if path[-1] not in _ASIDE and _is_list_of_objects(inner)]
        if len(lists) > 1:
            raise file.unreadable(
                f"one object holds {len(lists)} lists of objects: which of them the rows are is open",
                "land one list as a file: jq -c '.products[]'",
            )
        if lists:
            return lists[0]
        level = [(path, inner) for path, inner in level if isinstance(inner, dict) and not _is_row(inner)]
    return ()


def _named(what: str, key: str, file: LandedFile) -> str:
    """A list or object by its key, unless that may be a person's id."""
    kind = KINDS.get(file.key.partition("/")[0])
    return f"{what} {key!r}" if kind and kind.shows_values else f"{what} inside"


def _is_row(values: Mapping[str, Any]) -> bool:
    """Whether an object is a row, which owns the lists in it: it has an id, or several texts.

    Links do not count, nor what answers say about themselves.
    """
    scalars = {name: value for name, value in values.items() if not isinstance(value, dict | list)}
    if names_key(values) or any(likely_names(scalars, key) for key in ("item_id", "user_id")):
        return True
    texts = [name for name, value in scalars.items() if isinstance(value, str) and "://" not in value]
    return sum(folded(name) not in _OF_ANSWERS.split() for name in texts) > 1


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _of_list(first: RawRow, path: Sequence[str], file: LandedFile, notes: list[str]) -> Iterator[RawRow]:
    found: Any = first.values
    for key in path:
        found = found[key]
    notes.append(
        f"the rows were read out of {_named('the list', '.'.join(path), file)}: each counts as a line"
    )
    if note := page_note(first.values, path, len(found)):
        notes.append(note)
    inner = _inner([one for one in found if isinstance(one, dict)][:2])
    for values in found:
        if isinstance(values, dict):
            row = RawRow(first.line, values)
        else:
            row = RawRow(first.line, {}, BadRow("not_json", "no object {…} in a list of objects"))
        yield _out_of(row, inner, file) if inner else row


def _inner(objects: Sequence[Mapping[str, Any]]) -> str:
    """The object inside each object that is the row; empty if the objects themselves are rows."""
    first = objects[0]
    for name, (kept, others) in _INNER.items():
        if isinstance(first.get(name), dict) and set(first) <= {name, *kept, *others}:
            return name
    if len(first) != 1 or any(set(one) != set(first) for one in objects):
        return ""
    ((name, row),) = first.items()
    if not isinstance(row, dict) or not row or all(isinstance(value, dict) for value in row.values()):
        return ""
    return name


def _out_of(row: RawRow, inner: str, file: LandedFile) -> RawRow:
    if row.fault:
        return row
    values = row.values.get(inner)
    if not isinstance(values, dict):
        problem = f"no {_named('object', inner, file)}, which holds the other rows"
        return RawRow(row.line, {}, BadRow("not_json", problem))
    return RawRow(row.line, _with_outer(values, row.values, _INNER.get(inner, ((), ()))[0]))


def _with_outer(values: dict[str, Any], outer: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """A row with the id that stands outside, unless it has its own."""
    if names_key(values):
        return values
    return {name: outer[name] for name in kept if name in outer} | values


def _table_in_one(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Recognise a file whose only object holds a whole table: what it is, and what to do."""
    if values and all(isinstance(value, dict) for value in values.values()):
        return (
            "the whole table is one object of columns, or of rows by their ids (pandas: orient='columns' or 'index')",
            f"{_AS_RECORDS}; rows by ids: jq -c 'to_entries[] | {{item_id: .key}} + .value'",
        )
    if values and not _is_row(values) and any(value == [] for value in values.values()):
        return "this is an answer without rows", "it need not land; take it away"
    lists = (value for value in values.values() if isinstance(value, list) and value)
    if not names_key(values) and any(isinstance(value[0], list) for value in lists):
        return "the whole table is one object with a list of lists (pandas: orient='split')", _AS_RECORDS
    return None
