"""Types of every reader: a staged file, a raw row, and the state of reading."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.catalogue.fields import BadRow
from recsys.catalogue.folding import folded
from recsys.errors import BatchRefused, UnreadableFile

MAX_LINE_BYTES = 64 * 2**20
"""A longer line of JSON, or field of CSV, is not held in memory."""

KEYS = frozenset({"itemid", "userid"})
"""Column names (folded); a header names one of them. The separator is right if it stands alone."""

BOM = b"\xef\xbb\xbf"
BROKEN = re.compile("[\0\udc80-\udcff]")
"""NUL, or what surrogateescape makes of bytes that are not UTF-8."""

INDEX_COLUMN = re.compile(r"Unnamed: \d+|__index_level_\d+__")
"""What pandas calls the index of a table when it is written as a column."""


class OutOfMemory(MemoryError):  # noqa: N818  as Python names it
    """What could not be read in the memory of this process, for people."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it was landed."""

    line: int
    """1-based line where the row begins; in parquet, 1-based row. No two rows share one: where several begin on a line,
    each further one counts as a line of its own."""
    values: dict[str, Any]
    """Column -> value; empty where the row could not be read."""
    fault: BadRow | None = None


@dataclass(frozen=True)
class LandedFile:
    """A staged copy of a landed file."""

    path: Path
    key: str
    """Name of the file in the landing zone, for messages."""
    ending: str
    """Ending of the name, such as .csv, without that of a compression. It counts where the content leaves the
    format open."""
    max_columns: int
    max_decoded_mb: int
    """What it may hold in MiB, once it is decompressed and its repeated values are written out."""
    column_names: Mapping[str, str] = field(default_factory=dict)
    """Its names of columns, or paths of values inside, -> ours: `ingest.column_names` of its kind."""
    on_rows: Callable[[int], None] | None = None
    """Called with the number of rows, every few thousand."""

    @property
    def keys(self) -> frozenset[str]:
        """Names, folded, of which a header has one: those of the item and of the user column."""
        return KEYS | {folded(theirs) for theirs, ours in self.column_names.items() if folded(ours) in KEYS}

    def as_words(self) -> dict[str, Any]:
        """Everything except `on_rows`, ready for JSON."""
        return {
            "path": str(self.path.absolute()),
            "key": self.key,
            "ending": self.ending,
            "max_columns": self.max_columns,
            "max_decoded_mb": self.max_decoded_mb,
            "column_names": dict(self.column_names),
        }

    def unreadable(self, problem: str, remedy: str, line: int | None = None) -> UnreadableFile:
        """The error that names this file and, where known, the line."""
        where = f"{self.key}, line {line}" if line else self.key
        return UnreadableFile(f"{where}: {problem}", remedy=remedy)

    def check_width(self, n_columns: int) -> None:
        """Refuse the file where it has too many columns.

        Args:
            n_columns: number found so far.

        Raises:
            BatchRefused: there are more than the limit.
        """
        if n_columns > self.max_columns:
            raise BatchRefused(
                f"{self.key} has {n_columns} columns, the limit is {self.max_columns}",
                remedy="land fewer columns, or raise ingest.max_columns in params.yaml",
            )

    def check_decoded(self, n_bytes: int) -> None:
        """Refuse the file where it holds too much.

        Args:
            n_bytes: number decoded so far.

        Raises:
            BatchRefused: it is more than the limit.
        """
        if n_bytes > self.max_decoded_mb * 2**20:
            raise BatchRefused(
                f"{self.key} holds more than {self.max_decoded_mb:,} MB once it is decoded",
                remedy="split the file, or raise ingest.max_decoded_mb in params.yaml",
            )


@dataclass
class Reading:
    """The state of reading one file: columns found, notes, progress."""

    rows: Iterator[RawRow]
    columns: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    """Notes for people on the file's form, such as an ignored column without a name."""
    is_decoded: bool = False
    """Whether positions refer to the decompressed or decoded text instead of the landed file."""
    member: str = ""
    """Name of the only file in a zip archive; empty for any other file."""

    @property
    def places_in(self) -> str:
        """The unit of positions in messages."""
        return "the decoded file" if self.is_decoded else "the file"
