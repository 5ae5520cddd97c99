"""Rows inside other JSON objects, as search engines, databases and web services export them.

Read where only one meaning is possible: the one list of objects in an answer, or the same inner object in each line.
Other forms are refused by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from types import MappingProxyType
from typing import Any

from recsys.catalogue.fields import BadRow
from recsys.catalogue.folding import SEPARATOR, folded
from recsys.catalogue.kinds import KINDS
from recsys.catalogue.likely_columns import likely_names
from recsys.catalogue.readers.pages import ABOUT_PAGES, NEXT, TOTAL, page_note
from recsys.catalogue.readers.refused_forms import refuse_by_name, table_in_one
from recsys.catalogue.readers.rows import LandedFile, RawRow
from recsys.catalogue.readers.separators import names_key

_MAX_PATH = 4
"""Objects around the list of an answer, such as data, products, edges."""

_AIRBYTE = ("ab_id", "raw_id", "emitted_at", "extracted_at", "loaded_at", "meta")
_CLOUDEVENTS = ("specversion", "time", "subject", "datacontenttype", "dataschema", "traceparent")
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
        "fields": (("id", "name"), ("createdTime", "createTime", "updateTime")),
        "payload": ((), ("schema",)),
        "data": ((), (*_CLOUDEVENTS, "id", "type", "source")),
        "_airbyte_data": ((), tuple(f"_airbyte_{name}" for name in _AIRBYTE)),
    }
)
"""Inner object that is the row -> what around it belongs to the row, and what else may be there: Elasticsearch and
OpenSearch, GraphQL, JSON:API, Airtable and Firestore, Kafka Connect, CloudEvents, Airbyte."""
_WRITES, _CHANGES = frozenset({"index", "create"}), frozenset({"update", "delete"})
"""Actions of a bulk request of Elasticsearch: those before a whole document, and those that are none."""
_OF_ACTIONS = (
    "routing pipeline parent version version_type if_seq_no if_primary_term retry_on_conflict require_alias "
    "require_data_stream dynamic_templates list_executed_pipelines"
)
"""What an action may say, beside names that begin with _."""
_OF_ANSWERS = (
    "status message code kind object type url etag version nextpagetoken nextcursor cursor requestid query params "
    "index queryid context odatacontext"
)
"""What an answer may say of itself, folded."""
_OF_PAGES = (
    "took timedout shards scrollid pitid maxscore terminatedearly extensions responseheader responsetime count limit "
    f"offset size perpage pagesize success ok processingtimems nbpages {NEXT} {TOTAL}"
)
"""What pages of answers say beside that."""
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
    refuse_by_name(first.values, file)
    if _is_action(first.values):
        notes.append("the action lines of a bulk request were left out")
        yield from _after_actions(whole, file)
    elif path := (_list_path if is_alone else _path_of_pages)([row.values for row in sound], file):
        yield from _of_lists(whole, path, file, notes)
    elif (inner := _inner([row.values for row in sound])) and not _begins_path(inner, file):
        notes.append(f"each row was read out of {_named('the object', inner, file)} around it")
        yield from (_out_of(row, inner, file) for row in whole)
    else:
        if is_alone and (table := table_in_one(first.values, is_row=_is_row(first.values, file))):
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


def _list_path(objects: Sequence[Mapping[str, Any]], file: LandedFile) -> tuple[str, ...]:
    """Where the rows of an answer are: the list of objects that fewest objects surround; empty if there is none.

    A list inside a row, such as the variants of a product, belongs to the row.
    """
    (values,) = objects
    if _is_row(values, file):
        return ()
    if values.get("errors"):
        raise file.unreadable("this is an answer with errors, which may lack rows", "ask the service again")
    lists = _lists_in(values, file)
    if len(lists) > 1:
        raise file.unreadable(
            f"one object holds {len(lists)} lists of objects: which of them the rows are is open",
            "land one list as a file: jq -c '.products[]'",
        )
    return lists[0] if lists else ()


def _path_of_pages(objects: Sequence[Mapping[str, Any]], file: LandedFile) -> tuple[str, ...]:
    """Where the rows are in each of several answers, the pages of one question; empty if they are none.

    Nothing may stand beside the list but what answers say about themselves: it could belong to the rows.
    """
    found = {path for one in objects for path in _lists_in(one, file)}
    if len(found) != 1 or any(_is_row(one, file) for one in objects):
        return ()
    (path,) = found
    if not all(isinstance(_at(one, path), list) for one in objects):
        return ()
    beside = {folded(key) for one in objects for key in one} - {folded(path[0])}
    return path if beside <= {*_OF_ANSWERS.split(), *_OF_PAGES.split(), *ABOUT_PAGES} else ()


def _lists_in(values: Mapping[str, Any], file: LandedFile) -> list[tuple[str, ...]]:
    """Paths of the lists of objects that fewest objects surround."""
    level: list[tuple[tuple[str, ...], Any]] = [((), values)]
    for _ in range(_MAX_PATH):
        level = [((*path, key), inner) for path, one in level for key, inner in one.items()]
        lists = [path for path, inner in level if path[-1] not in _ASIDE and _is_list_of_objects(inner)]
        if lists:
            return lists
        level = [
            (path, inner) for path, inner in level if isinstance(inner, dict) and not _is_row(inner, file)
        ]
    return []


def _named(what: str, key: str, file: LandedFile) -> str:
    """A list or object by its key, unless that may be a person's id."""
    kind = KINDS.get(file.key.partition("/")[0])
    return f"{what} {key!r}" if kind and kind.shows_values else f"{what} inside"


def _is_row(values: Mapping[str, Any], file: LandedFile) -> bool:
    """Whether an object is a row, which owns the lists in it: it has an id, or several texts.

    Links do not count, nor what answers say about themselves.
    """
    scalars = {name: value for name, value in values.items() if not isinstance(value, dict | list)}
    if names_key(values, file.keys) or any(likely_names(scalars, key) for key in ("item_id", "user_id")):
        return True
    texts = [name for name, value in scalars.items() if isinstance(value, str) and "://" not in value]
    return sum(folded(name) not in _OF_ANSWERS.split() for name in texts) > 1


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in value)


def _of_lists(
    answers: Iterator[RawRow], path: Sequence[str], file: LandedFile, notes: list[str]
) -> Iterator[RawRow]:
    """The rows of one answer, or of several, one after the other."""
    named = _named("the list", ".".join(path), file)
    notes.append(f"the rows were read out of {named}: each counts as a line")
    inner: str | None = None
    n_rows, last = 0, RawRow(1, {})
    for answer in answers:
        found = _at(answer.values, path)
        if answer.fault or not isinstance(found, list):
            fault = answer.fault or BadRow(
                "not_json", f"no {named.removeprefix('the ')}, which holds the rows"
            )
            yield RawRow(answer.line, {}, fault)
            continue
        if inner is None and found:
            inner = _inner([one for one in found if isinstance(one, dict)][:2])
            inner = "" if _begins_path(inner, file) else inner
        n_rows, last = n_rows + len(found), answer
        for values in found:
            if isinstance(values, dict):
                row = RawRow(answer.line, values)
            else:
                row = RawRow(answer.line, {}, BadRow("not_json", "no object {…} in a list of objects"))
            yield _out_of(row, inner, file) if inner else row
    if note := page_note(last.values, path, n_rows):
        notes.append(note)


def _at(values: Any, path: Sequence[str]) -> Any:  # noqa: ANN401  any JSON
    """What a path leads to, or None."""
    for key in path:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _inner(objects: Sequence[Mapping[str, Any]]) -> str:
    """The object inside each object that is the row; empty if the objects themselves are rows."""
    first = objects[0]
    for name, (kept, others) in _INNER.items():
        is_event = name != "data" or "specversion" in first
        has_others = any(set(one) - {name, *kept, *others} for one in objects)
        if isinstance(first.get(name), dict) and is_event and not has_others:
            return name
    if len(first) != 1 or any(set(one) != set(first) for one in objects):
        return ""
    ((name, row),) = first.items()
    if not isinstance(row, dict) or not row or all(isinstance(value, dict) for value in row.values()):
        return ""
    return name


def _begins_path(name: str, file: LandedFile) -> bool:
    """Whether params name values inside an object by their path, so that it has to stay around them."""
    return any(path.startswith(f"{name}{SEPARATOR}") for path in file.column_names)


def _out_of(row: RawRow, inner: str, file: LandedFile) -> RawRow:
    if row.fault:
        return row
    values = row.values.get(inner)
    if not isinstance(values, dict):
        problem = f"no {_named('object', inner, file)}, which holds the other rows"
        return RawRow(row.line, {}, BadRow("not_json", problem))
    kept, others = _INNER.get(inner, ((), ()))
    beside = row.values.keys() - {inner, *kept, *others}
    if lost := sorted(name for name in beside if not name.startswith("_")):
        problem = (
            f"{_named('the value', lost[0], file)} beside {_named('the object', inner, file)}, where no other"
        )
        return RawRow(row.line, {}, BadRow("not_json", f"{problem} row has one"))
    return RawRow(row.line, _with_outer(values, row.values, kept))


def _with_outer(values: dict[str, Any], outer: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """A row with the id that stands outside, unless it has its own."""
    if names_key(values):
        return values
    return {name: outer[name] for name in kept if name in outer} | values
