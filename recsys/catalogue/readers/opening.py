"""Landed files -> raw rows with line numbers. A bad row is flagged and reading goes on; a bad file is refused.

The content decides: compression, encoding, line ends, separators, JSON or CSV or parquet. The name counts only where
the content leaves it open.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from recsys.catalogue.folding import SEPARATOR
from recsys.catalogue.readers.csv_rows import csv_rows, has_header
from recsys.catalogue.readers.decoded import open_decoded
from recsys.catalogue.readers.foreign import foreign_format
from recsys.catalogue.readers.inner_values import with_inner
from recsys.catalogue.readers.json_rows import json_rows
from recsys.catalogue.readers.parquet_rows import PARQUET, parquet_rows
from recsys.catalogue.readers.rows import LandedFile, RawRow, Reading
from recsys.errors import BatchRefused

_COUNTED_ROWS = 4096
_BLANK = b"\xef\xbb\xbf \t\r\n\x1e"
_JSON = re.compile(rb"[\[{][\s\[{]*(\"|[\]}])")
_JSON_ENDINGS, _CSV_ENDINGS = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv", ".txt")


def read(file: LandedFile) -> Reading:
    """Open a landed file.

    Args:
        file: the staged copy.

    Returns:
        Its rows, read lazily.

    Raises:
        BatchRefused: it is empty, too wide or too large once it is decoded; while reading too.
        UnreadableFile: it cannot be parsed at all; while reading too.
    """
    if file.path.stat().st_size == 0:
        raise _empty(file, "0 bytes")
    reading = Reading(iter(()))
    with file.path.open("rb") as source:
        is_parquet = source.read(len(PARQUET)) == PARQUET
    if is_parquet and file.ending != ".parquet":
        reading.notes.append(f"read as parquet, though its name ends in {file.ending}")
    rows = parquet_rows(file, reading) if is_parquet else _text_rows(file, reading)
    if paths := {theirs: ours for theirs, ours in file.column_names.items() if SEPARATOR in theirs}:
        rows = with_inner(rows, paths, reading.columns)
    reading.rows = _counted(rows, file.on_rows) if file.on_rows else rows
    return reading


def _counted(rows: Iterator[RawRow], on_rows: Callable[[int], None]) -> Iterator[RawRow]:
    for n_rows, row in enumerate(rows, 1):
        if n_rows % _COUNTED_ROWS == 0:
            on_rows(n_rows)
        yield row


def _text_rows(file: LandedFile, reading: Reading) -> Iterator[RawRow]:
    with open_decoded(file, reading) as stream:
        start = stream.peek()
        foreign = foreign_format(start)
        if foreign:
            what, remedy = foreign
            raise file.unreadable(f"this is {what}", remedy)
        text = start.lstrip(_BLANK)
        if not text:
            raise _empty(file, "no text")
        ending = PurePosixPath(reading.member.lower()).suffix or file.ending
        is_json, is_csv = bool(_JSON.match(text)), has_header(start, file.keys)
        if not is_json and not is_csv:
            if ending == ".parquet":
                remedy = "write the whole file under another name and rename when done"
                raise file.unreadable("no complete parquet file: it does not begin with PAR1", remedy)
            is_json = ending in _JSON_ENDINGS
        if ending not in (_JSON_ENDINGS if is_json else _CSV_ENDINGS):
            name = "JSON" if is_json else "CSV"
            reading.notes.append(f"read as {name}, though its name ends in {ending}")
        yield from (json_rows if is_json else csv_rows)(file, stream, reading)


def _empty(file: LandedFile, what: str) -> BatchRefused:
    remedy = "write the file again with its rows; nothing was taken from it"
    return BatchRefused(f"{file.key} is empty ({what})", remedy=remedy)
