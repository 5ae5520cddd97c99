"""Rows of CSV (RFC 4180), with the separators, line ends and additions that spreadsheets and pandas write."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import NoReturn

from recsys.catalogue.fields import AS_UTF8, BadRow
from recsys.catalogue.readers.rows import (
    BOM,
    BROKEN,
    INDEX_COLUMN,
    MAX_LINE_BYTES,
    LandedFile,
    RawRow,
    Reading,
)
from recsys.catalogue.readers.separators import (
    NAMES,
    SEP_LINE,
    SEPARATORS,
    escapes_quotes,
    layout,
    names_key,
    other_separator,
    unescaped,
)

_DRAWN, _RULE = "-+|:= \t", "---"
"""Of what psql, mysql and Markdown draw the lines between the rows of a table, and what such a line holds at least."""
_COUNT = re.compile(r"\(\d+ rows?\)")
"""What psql writes below the rows."""
_BEGIN_DRAWN = frozenset(("", *" -+|:("))
_FORMULA = re.compile(r'="(.*)"', re.DOTALL)
"""A text as spreadsheets are told to leave it alone: ="007"."""
_LONE_CR = "\udc0d"
"""Stands for a CR inside a line, which the parser would take for its end; not UTF-8, so that no file can hold it."""


def has_header(start: bytes, keys: Collection[str]) -> bool:
    """Whether text begins with a header that names one of these columns (folded)."""
    return names_key(layout(_sample(start)[1], keys).header, keys)


def csv_rows(file: LandedFile, stream: io.BufferedReader, reading: Reading) -> Iterator[RawRow]:
    """Rows below the header.

    Args:
        file: the staged copy.
        stream: its decoded bytes, at the start.
        reading: takes columns and notes.

    Yields:
        One row per record; empty ones are left out.

    Raises:
        BatchRefused: too many columns.
        UnreadableFile: no usable header, or a record that does not end.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    separator, n_above, has_escapes = _layout(stream.peek(), file.keys, reading)
    lines = _TextLines(stream, file, has_escapes=has_escapes)
    rows = csv.reader(lines, delimiter=separator, strict=True)
    header: _Header | None = None
    skipped = Counter[str]()
    while True:
        begin, offset = rows.line_num + 1, lines.consumed
        try:
            values = next(rows, None)
        except csv.Error as error:
            _broken(file, error, begin)
        if values is None:
            break
        if not any(values):
            skipped["empty row"] += len(values) > 1
        elif begin == 1 and SEP_LINE.fullmatch(separator.join(values).strip()):
            continue
        elif n_above:
            n_above -= 1
        elif header is None:
            header = _header(file, values, begin, reading)
        elif _is_drawn(values, separator):
            header = replace(header, is_drawn=True)
            skipped["drawn line"] += 1
        else:
            row = _row(begin, f"byte {offset} of {reading.places_in}", values, header)
            yield _without_formulas(row, header) if lines.may_hold_formulas else row
    reading.notes.extend(f"{_counted(n, what)} ignored" for what, n in skipped.items() if n)
    if header and header.formulas:
        reading.notes.append('values written as ="…", a formula of spreadsheets, were read as their text')


def _sample(start: bytes) -> tuple[str | None, list[str]]:
    """The separator that a line `sep=` names, and the whole lines after it."""
    text = start.removeprefix(BOM).decode(errors="surrogateescape")
    lines = [f"{line}\n" for line in text.split("\n")]
    if len(lines) > 2:
        del lines[-1]  # perhaps cut off
    named = SEP_LINE.fullmatch(lines[0].strip("\r\n "))
    return (named[1], lines[1:]) if named else (None, lines)


def _layout(start: bytes, keys: Collection[str], reading: Reading) -> tuple[str, int, bool]:
    """The separator, how many rows are above the header, and whether quotes are escaped by backslashes."""
    named, lines = _sample(start)
    found = layout(lines, keys)
    if has_escapes := escapes_quotes(lines, found.separator):
        reading.notes.append("quotes are escaped by backslashes")
        found = layout([unescaped(line) for line in lines], keys)
    separator = named if named in SEPARATORS else found.separator
    if named:
        reading.notes.append("the line `sep=` was ignored, apart from the separator that it names")
    if separator != ",":
        reading.notes.append(f"columns are separated by a {NAMES[separator]}")
    if found.n_above:
        reading.notes.append(f"{_counted(found.n_above, 'row')} above the header ignored")
    return separator, found.n_above, has_escapes


class _TextLines:
    """Lines of a file as text, with a count of bytes. Bytes that are not UTF-8 become lone surrogates, found later."""

    def __init__(self, stream: io.BufferedReader, file: LandedFile, *, has_escapes: bool) -> None:
        self._stream, self._file, self._has_escapes = stream, file, has_escapes
        self.consumed = 0
        self.may_hold_formulas = False

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
        self.consumed += len(raw)
        self.may_hold_formulas = self.may_hold_formulas or b'="' in raw
        # A mark at the start of a later line is left from files that were joined.
        line = raw.removeprefix(BOM).decode(errors="surrogateescape")
        if "\r" in line.removesuffix("\r\n"):
            line = line.removesuffix("\r\n").replace("\r", _LONE_CR) + ("\n" if raw.endswith(b"\n") else "")
        return unescaped(line) if self._has_escapes else line


def _broken(file: LandedFile, error: csv.Error, line: int) -> NoReturn:
    if "unexpected end" in str(error):
        problem = "a quote is left open until the end: the file is incomplete, perhaps still being written"
    elif "field larger" in str(error):
        problem = f"a field is longer than {MAX_LINE_BYTES >> 20} MiB; is a quote left open?"
    else:
        problem = f'{error}; inside a quoted field a quote is written twice ("")'
    raise file.unreadable(problem, "write RFC 4180 CSV under another name and rename when done", line)


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    """Column names, stripped; empty where a column has none."""
    kept: tuple[tuple[int, str], ...]
    """Place and name of every column that is read."""
    blank: tuple[int, ...]
    """Places of columns without a name, which must be empty; not of a first one, the index that pandas writes."""
    keys: frozenset[str]
    """See `LandedFile.keys`."""
    is_drawn: bool = False
    """Whether lines are drawn around the values, and blanks fill them up."""
    formulas: set[str] = field(default_factory=set)
    """Takes the names of columns with texts that are written as formulas."""

    def label(self, place: int) -> str:
        """A column for messages; by number if the row may be no header and could hold personal values."""
        return self.names[place] if names_key(self.names, self.keys) else f"column {place + 1}"


def _header(file: LandedFile, values: list[str], line: int, reading: Reading) -> _Header:
    names = tuple(value.strip() for value in values)
    file.check_width(len(names))
    if other := other_separator(names, file.keys):
        raise file.unreadable(
            f"its columns are separated by {other}", "separate them by comma, semicolon, tab or bar", line
        )
    twice = next((n for n, name in enumerate(names, 1) if name and names.index(name) != n - 1), None)
    if len(names) == 1 and names_key(layout([names[0]]).header) and not names_key(names):
        raise file.unreadable(
            "each line is one value in quotes", "write quotes around values, not around whole lines", line
        )
    if any(BROKEN.search(name) for name in names):
        raise file.unreadable("the header is not UTF-8 text", AS_UTF8, line)
    if twice:
        # Not by its name: where a header is missing, it is a value, perhaps a person's.
        first = names.index(names[twice - 1]) + 1
        raise file.unreadable(
            f"columns {first} and {twice} have one name", "name each column once, in the first row", line
        )
    kept = tuple((n, name) for n, name in enumerate(names) if name and not INDEX_COLUMN.fullmatch(name))
    blank = tuple(n for n, name in enumerate(names) if not name and n > 0)
    if not names[0]:
        reading.notes.append("column 1 has no name (an index that pandas wrote?): ignored")
    if blank:
        reading.notes.append(f"{_counted(len(blank), 'empty column')} without a name ignored")
    reading.notes.extend(
        f"column {name} (an index that pandas wrote) ignored"
        for name in names
        if INDEX_COLUMN.fullmatch(name)
    )
    reading.columns.update(name for _, name in kept)
    return _Header(names, kept, blank, file.keys)


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n > 1 else ''}"


def _row(line: int, where: str, values: list[str], header: _Header) -> RawRow:
    width = len(header.names)
    if len(values) > width and not any(values[width:]):
        del values[width:]  # a spreadsheet ends its rows with the commas of its widest one
    if len(values) == width and all(v.strip() == name for v, name in zip(values, header.names, strict=True)):
        return RawRow(line, {}, BadRow("repeated_header", "the row repeats the header: were files joined?"))
    for place, value in enumerate(values[:width]):
        broken = BROKEN.search(value.replace(_LONE_CR, ""))
        if broken and broken.group() == "\0":
            return RawRow(line, {}, BadRow("nul_byte", f"{header.label(place)} holds a NUL byte"))
        if broken:
            problem = f"{header.label(place)} is not UTF-8, in the row that begins at {where}"
            return RawRow(line, {}, BadRow("not_utf8", problem))
    if len(values) != width:
        problem = f"{len(values)} fields, but the header names {width}"
        return RawRow(line, {}, BadRow("wrong_fields", problem))
    outside = next((n for n in header.blank if values[n].strip()), None)
    if outside is not None:
        return RawRow(line, {}, BadRow("wrong_fields", f"a value in column {outside + 1}, which has no name"))
    return RawRow(line, _as_texts(values, header))


def _is_drawn(values: list[str], separator: str) -> bool:
    """Whether a row is a drawn line; most rows show by their first character that they are none."""
    if values[0][:1] not in _BEGIN_DRAWN:
        return False
    line = separator.join(values).strip()
    return (_RULE in line and not line.strip(_DRAWN)) or _COUNT.fullmatch(line) is not None


def _as_texts(values: list[str], header: _Header) -> dict[str, str]:
    """The values by column. Empty is missing: CSV has no other word for it."""
    found = {name: values[n].replace(_LONE_CR, "\r") for n, name in header.kept if values[n] != ""}
    if header.is_drawn:
        found = {name: value.strip() for name, value in found.items() if value.strip()}
    return found


def _without_formulas(row: RawRow, header: _Header) -> RawRow:
    """The row with the texts that its formulas stand for."""
    for name, value in row.values.items():
        if formula := _FORMULA.fullmatch(value):
            row.values[name] = formula[1].replace('""', '"')
            header.formulas.add(name)
    return row
