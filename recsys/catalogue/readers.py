"""Landed files -> raw rows with their line numbers. A bad row is marked and reading goes on; a bad file is refused."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.catalogue.fields import BadRow
from recsys.errors import BatchRefused, UnreadableFile

MAX_LINE_BYTES = 64 * 2**20
"""A longer line of JSON, or field of CSV, is not held in memory."""

PARQUET_BATCH_ROWS = 4096
BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_BROKEN = re.compile("[\0\udc80-\udcff]")  # NUL, or what surrogateescape makes of bytes that are not UTF-8


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it was landed."""

    line: int
    """1-based line where the row begins; in parquet, 1-based row."""
    values: dict[str, Any]
    """Column -> value; empty where the row could not be read."""
    fault: BadRow | None = None


@dataclass(frozen=True)
class LandedFile:
    """A staged copy of a landed file."""

    path: Path
    key: str
    """Its name in the landing zone, for messages."""
    ending: str
    max_columns: int

    def unreadable(self, problem: str, remedy: str, line: int | None = None) -> UnreadableFile:
        """The error that names this file and, where known, the line."""
        where = f"{self.key}, line {line}" if line else self.key
        return UnreadableFile(f"{where}: {problem}", remedy=remedy)


@dataclass
class Reading:
    """Rows of one file, as they are read, and the columns met so far."""

    rows: Iterator[RawRow]
    columns: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    """For people: what was noticed about the file's form, such as a column without a name that was ignored."""


def read(file: LandedFile) -> Reading:
    """Open a landed file.

    Args:
        file: the staged copy.

    Returns:
        Its rows, read as they are asked for.

    Raises:
        BatchRefused: it is empty or too wide; while reading too.
        UnreadableFile: it cannot be parsed at all; while reading too.
    """
    if file.path.stat().st_size == 0:
        remedy = "write the file again with its rows; nothing was taken from it"
        raise BatchRefused(f"{file.key} is empty (0 bytes)", remedy=remedy)
    reading = Reading(iter(()))
    reading.rows = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}[file.ending](file, reading)
    return reading


def check_width(file: LandedFile, n_columns: int) -> None:
    """Refuse a file with too many columns.

    Args:
        file: the file, for the message and its limit.
        n_columns: how many it has.

    Raises:
        BatchRefused: there are more than the limit.
    """
    if n_columns > file.max_columns:
        raise BatchRefused(
            f"{file.key} has {n_columns} columns, the limit is {file.max_columns}",
            remedy="land fewer columns, or raise ingest.max_columns in params.yaml",
        )


def _jsonl(file: LandedFile, reading: Reading) -> Iterator[RawRow]:
    with file.path.open("rb") as stream:
        offset, number = 0, 0
        while raw := stream.readline(MAX_LINE_BYTES):
            number += 1
            start, offset = offset, offset + len(raw)
            content = _without_bom(raw, file) if number == 1 else raw
            complete = raw.endswith(b"\n")
            if not complete and len(raw) == MAX_LINE_BYTES:
                offset += _skip_line(stream)
                problem = f"the line is longer than {MAX_LINE_BYTES >> 20} MiB"
                yield RawRow(number, {}, BadRow("text_too_long", problem))
                continue
            if not content.strip():
                continue
            row = _json_row(number, content, start)
            if row.fault and not complete and row.fault.reason in {"not_json", "not_utf8"}:
                problem = "the last line is cut off: the file is incomplete, perhaps still being written"
                raise file.unreadable(problem, "write under another name and rename when done", number)
            reading.columns.update(row.values)
            check_width(file, len(reading.columns))
            yield row


def _skip_line(stream: BinaryIO) -> int:
    skipped = 0
    while rest := stream.readline(MAX_LINE_BYTES):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def _json_row(number: int, content: bytes, offset: int) -> RawRow:
    try:
        text = content.decode()
        values = _DECODER.decode(text.strip())
    except UnicodeDecodeError as error:
        problem = f"byte {offset + error.start} of the file is not UTF-8"
        return RawRow(number, {}, BadRow("not_utf8", problem))
    except json.JSONDecodeError as error:
        reason = "nul_byte" if b"\0" in content else "not_json"
        return RawRow(number, {}, BadRow(reason, f"{error.msg} at column {error.colno}"))
    except BadRow as fault:
        return RawRow(number, {}, fault)
    except (ValueError, RecursionError) as error:
        return RawRow(number, {}, BadRow("not_json", f"not usable JSON ({type(error).__name__})"))
    if not isinstance(values, dict):
        return RawRow(number, {}, BadRow("not_json", "the line is JSON, but no object {…}"))
    return RawRow(number, values)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BadRow("duplicate_key", "a key stands twice in the object")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def _csv(file: LandedFile, reading: Reading) -> Iterator[RawRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with file.path.open("rb") as stream:
        lines = _TextLines(stream, file)
        rows = csv.reader(lines, strict=True)
        header: list[str] | None = None
        while True:
            begin, offset = rows.line_num + 1, lines.consumed
            try:
                values = next(rows, None)
            except csv.Error as error:
                _csv_broken(file, error, begin)
            if values is None:
                return
            if values in ([], [""]):
                continue
            if header is None:
                header = _header(file, values)
                reading.columns.update(header)
                continue
            yield _csv_row(begin, offset, values, header)


class _TextLines:
    """Lines of a file as text, counting bytes; bytes that are not UTF-8 become lone surrogates, found later."""

    def __init__(self, stream: BinaryIO, file: LandedFile) -> None:
        self._stream, self._file = stream, file
        self.consumed = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._stream.readline(MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        if len(raw) == MAX_LINE_BYTES:
            problem = f"a line is longer than {MAX_LINE_BYTES >> 20} MiB"
            raise self._file.unreadable(
                f"{problem}, at byte {self.consumed}", "write RFC 4180 CSV with line ends"
            )
        content = _without_bom(raw, self._file) if self.consumed == 0 else raw
        self.consumed += len(raw)
        return content.decode(errors="surrogateescape")


def _csv_broken(file: LandedFile, error: csv.Error, line: int) -> NoReturn:
    if "unexpected end" in str(error):
        problem = "a quote is left open until the end: the file is incomplete, perhaps still being written"
    elif "field larger" in str(error):
        problem = f"a field is longer than {MAX_LINE_BYTES >> 20} MiB; is a quote left open?"
    else:
        problem = f"{error}; inside a quoted field a quote is written twice"
    raise file.unreadable(problem, "write RFC 4180 CSV under another name and rename when done", line)


def _header(file: LandedFile, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    check_width(file, len(names))
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise file.unreadable("the columns are not separated by commas", "write RFC 4180 CSV, with commas", 1)
    if "" in names or len(set(names)) < len(names):
        raise file.unreadable("the header names a column twice or not at all", "name each column once", 1)
    if any(_BROKEN.search(name) for name in names):
        raise file.unreadable("the header is not UTF-8 text", "write the file in UTF-8", 1)
    return names


def _csv_row(line: int, offset: int, values: list[str], header: list[str]) -> RawRow:
    for name, value in zip(header, values, strict=False):
        broken = _BROKEN.search(value)
        if broken and broken.group() == "\0":
            return RawRow(line, {}, BadRow("nul_byte", f"{name} holds a NUL byte"))
        if broken:
            problem = f"{name} is not UTF-8, in the row that begins at byte {offset} of the file"
            return RawRow(line, {}, BadRow("not_utf8", problem))
    if len(values) != len(header):
        problem = f"{len(values)} fields, but the header names {len(header)}"
        return RawRow(line, {}, BadRow("wrong_fields", problem))
    # Empty is missing: CSV has no other word for it.
    return RawRow(line, {name: value for name, value in zip(header, values, strict=True) if value != ""})


def _parquet(file: LandedFile, reading: Reading) -> Iterator[RawRow]:
    remedy = "write the whole file under another name and rename when done"
    try:
        with pq.ParquetFile(file.path) as source:
            names = source.schema_arrow.names
            check_width(file, len(names))
            if len(set(names)) < len(names):
                raise file.unreadable("a column stands twice", "name each column once")
            reading.columns.update(names)
            line = 0
            for batch in source.iter_batches(batch_size=PARQUET_BATCH_ROWS):
                columns = [_values(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    line += 1
                    yield _parquet_row(line, names, row)
    except (pa.ArrowException, OSError) as error:
        words = str(error).splitlines()[0]
        raise file.unreadable(f"no complete parquet file: {words}", remedy) from error


def _values(column: pa.Array) -> list[Any]:
    """A column as Python values; a value that Python cannot hold becomes its BadRow."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return BadRow("not_utf8", "a text is not UTF-8")
    except (ValueError, OverflowError):
        return BadRow("bad_timestamp", "a time lies outside the years 1 to 9999")


def _parquet_row(line: int, names: list[str], row: tuple[Any, ...]) -> RawRow:
    fault = next((value for value in row if isinstance(value, BadRow)), None)
    if fault:
        return RawRow(line, {}, fault)
    return RawRow(line, {name: value for name, value in zip(names, row, strict=True) if value is not None})


def _without_bom(first: bytes, file: LandedFile) -> bytes:
    if first.startswith(UTF_16):
        raise file.unreadable("the file is UTF-16", "write the file in UTF-8", 1)
    return first.removeprefix(BOM)
