"""Rows of JSON: one object per line, or objects in a list, side by side or over several lines."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from recsys.catalogue.fields import BadRow
from recsys.catalogue.readers.extended_json import plain_value
from recsys.catalogue.readers.json_values import JsonCutOff, JsonValue, cut_values
from recsys.catalogue.readers.rows import BOM, MAX_LINE_BYTES, LandedFile, RawRow, Reading
from recsys.catalogue.readers.wrapped import unwrapped

MAX_DEPTH = 64
"""Maximum nesting of lists and objects in a row: Python's parsers and writers give up at a depth that varies."""

_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[{}\[\]]', re.DOTALL)
_AROUND = b" \t\r\n\x1e"  # RFC 7464 puts a record separator before each text
_COMMA_AT_END = re.compile(r'("(?:[^"\\]++|\\.)*+"?)|(?<![,:\[{]),(?=\s*[}\]])', re.DOTALL)
_PYTHON = "this is a Python dict, not JSON: write json.dumps(row)"
_SIDE_BY_SIDE = "holds several objects"
_CUT_OFF = "the file is incomplete, perhaps still being written"
_RENAME = "write under another name and rename when done"


def json_rows(file: LandedFile, stream: io.BufferedReader, reading: Reading) -> Iterator[RawRow]:
    """Rows of a JSON file; its beginning shows how the objects are laid out.

    Args:
        file: the staged copy.
        stream: its decoded bytes, at the start.
        reading: takes columns and notes.

    Yields:
        One row per object.

    Raises:
        BatchRefused: too many columns.
        UnreadableFile: the file is cut off, or its objects are no rows.
    """
    rows = (
        _of_values(file, stream, reading) if _is_nested(stream.peek()) else _of_lines(file, stream, reading)
    )
    line = 0
    for row in unwrapped(rows, file, reading.notes):
        line = max(row.line, line + 1)
        reading.columns.update(row.values)
        file.check_width(len(reading.columns))
        yield row if row.line == line else RawRow(line, row.values, row.fault)


def _of_lines(file: LandedFile, stream: io.BufferedReader, reading: Reading) -> Iterator[RawRow]:
    offset, number = 0, 0
    while raw := stream.readline(MAX_LINE_BYTES):
        number += 1
        start, offset = offset, offset + len(raw)
        complete = raw.endswith(b"\n")
        if not complete and len(raw) == MAX_LINE_BYTES:
            offset += _skip_line(stream)
            problem = f"the line is longer than {MAX_LINE_BYTES >> 20} MiB"
            if number == 1 and not stream.peek(1):  # no row: a whole answer
                raise file.unreadable(
                    problem, "write one object per line, such as by jq -c '.products[]'", number
                )
            yield RawRow(number, {}, BadRow("text_too_long", problem))
            continue
        content = raw.removeprefix(BOM).strip(_AROUND)
        if not content:
            continue
        begin = start + raw.index(content)
        row = _json_row(number, content, begin, reading.places_in)
        if row.fault and not complete and _depth(content) != 0:
            raise file.unreadable(f"the last line is cut off: {_CUT_OFF}", _RENAME, number)
        yield from _several(row, content, begin, reading) if row.fault else (row,)


def _skip_line(stream: BinaryIO) -> int:
    skipped = 0
    while rest := stream.readline(MAX_LINE_BYTES):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def _several(row: RawRow, content: bytes, begin: int, reading: Reading) -> list[RawRow]:
    """The rows of a line that is not one object: several objects, or one before a comma; otherwise a bad row."""
    values = _whole_values(content)
    rows = [
        _value_row(value, row.line, begin, reading.places_in)
        for value in values
        if isinstance(value, JsonValue)
    ]
    if not any(found.fault is None for found in rows):
        return [row]
    if len(values) > 1 and not any(_SIDE_BY_SIDE in note for note in reading.notes):
        reading.notes.append(f"line {row.line} {_SIDE_BY_SIDE}: each counts as a line from there on")
    if len(rows) < len(values):
        rows.append(RawRow(row.line, {}, BadRow("not_json", "the last object of the line is cut off")))
    return rows


def _value_row(value: JsonValue, line: int, begin: int, places_in: str) -> RawRow:
    if value.is_stray:
        return RawRow(line, {}, BadRow("not_json", "text that is no object {…} stands between the rows"))
    return _json_row(line, value.content, begin + value.offset, places_in)


def _whole_values(content: bytes) -> list[JsonValue | JsonCutOff]:
    """Values of a text; at the end the error, if the text is cut off."""
    found: list[JsonValue | JsonCutOff] = []
    try:
        for value in cut_values(io.BytesIO(content), []):
            found.append(value)  # noqa: PERF402  what came before the cut is kept
    except JsonCutOff as cut:
        found.append(cut)
    return found


def _of_values(file: LandedFile, stream: BinaryIO, reading: Reading) -> Iterator[RawRow]:
    try:
        for value in cut_values(stream, reading.notes):
            yield _value_row(value, value.line, 0, reading.places_in)
    except JsonCutOff as cut:
        raise file.unreadable(f"{cut.problem}: {_CUT_OFF}", _RENAME, cut.line) from cut


def _is_nested(start: bytes) -> bool:
    """Whether objects are in a list or span several lines, judged by the beginning of the file."""
    lines = [line for line in start.removeprefix(BOM).splitlines() if line.strip(_AROUND)]
    first = lines[0].strip(_AROUND)
    if not first.startswith((b"{", b"[")):
        return False
    depth = _depth(first)
    is_list = first.startswith(b"[")
    if depth == 0 or len(lines) == 1:
        return is_list or len(_whole_values(first)) > 1
    if depth is None:  # a string is open where the line ends: no layout allows that
        return False
    # A row that was cut off, before others that are whole, spoils only itself.
    return first == b"[" or _is_broken(lines[1].strip(_AROUND))


def _is_broken(line: bytes) -> bool:
    return _json_row(1, line).fault is not None


def _depth(line: bytes) -> int | None:
    """Brackets left open at the end of a text; None where a string is."""
    depth = 0
    for token in _BRACKET.finditer(line):
        symbol = token.group()
        if symbol in b"{[":
            depth += 1
        elif symbol in b"}]":
            depth -= 1
        elif len(symbol) == 1 or not symbol.endswith(b'"'):
            return None
    return depth


def _is_deep(content: bytes) -> bool:
    if content.count(b"{") + content.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _BRACKET.finditer(content):
        symbol = token.group()
        depth += (symbol in b"{[") - (symbol in b"}]")
        if depth > MAX_DEPTH:
            return True
    return False


def _json_row(number: int, content: bytes, offset: int = 0, places_in: str = "") -> RawRow:
    """One JSON text as a row; `offset` is where it begins in what `places_in` names."""
    try:
        values = _decoded(content)
    except UnicodeDecodeError as error:
        problem = f"byte {offset + error.start} of {places_in} is not UTF-8"
        return RawRow(number, {}, BadRow("not_utf8", problem))
    except json.JSONDecodeError as error:
        reason = "nul_byte" if b"\0" in content else "not_json"
        problem = _PYTHON if content.startswith(b"{'") else f"{error.msg} at column {error.colno}"
        return RawRow(number, {}, BadRow(reason, problem))
    except BadRow as fault:
        return RawRow(number, {}, fault)
    except (ValueError, RecursionError) as error:
        return RawRow(number, {}, BadRow("not_json", f"not usable JSON ({type(error).__name__})"))
    if not isinstance(values, dict):
        return RawRow(number, {}, BadRow("not_json", _no_object(values)))
    return RawRow(number, values)


def _no_object(value: object) -> str:
    """What a value is instead of a row."""
    if isinstance(value, list):
        return "a list of values without names: write an object {name: value} for each row"
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return "a text that holds JSON, so it was encoded twice: write the object itself"
    return "the line is JSON, but no object {…}"


def _decoded(content: bytes) -> Any:  # noqa: ANN401  any JSON
    """The value of a text; a comma before a closing bracket means nothing, as in lists of whole rows."""
    if _is_deep(content):
        raise BadRow("not_json", f"nested too deep: more than {MAX_DEPTH} levels")
    text = content.decode().strip()
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError:
        fewer = _COMMA_AT_END.sub(lambda found: found[1] or "", text)
        if len(fewer) == len(text):
            raise
        with suppress(json.JSONDecodeError):
            return _DECODER.decode(fewer)
        raise


def _unique(pairs: list[tuple[str, Any]]) -> Any:  # noqa: ANN401  any JSON
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRow("duplicate_key", "the object has a key twice")
    return plain_value(found)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
