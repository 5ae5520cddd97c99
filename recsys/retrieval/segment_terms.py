"""The inverted index of one segment, mapped from its file."""

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.features.terms import SCHEMA
from recsys.features.words import WORDS_VERSION
from recsys.storage.tables import map_foreign_arrow

# Shape suffixes: N rows of a segment, V terms, P postings.
HALVING_COST = 150
"""Finding one term by halving costs about as much as hashing so many terms of a segment: a long query hashes all."""


@dataclass(frozen=True)
class SegmentTerms:
    """The inverted index of one segment, mapped from its file."""

    terms_V: pa.StringArray
    """Ascending; the first is empty, and its postings are all rows with their numbers of words."""
    offsets_V: NDArray[np.int64]
    """Where each term's postings begin, and the end of the last."""
    row_P: NDArray[np.int32]
    count_P: NDArray[np.int32]

    @property
    def n_words_N(self) -> NDArray[np.int32]:
        """Words of each row."""
        return self.count_P[self.offsets_V[0] : self.offsets_V[1]]

    def places(self, terms: pa.StringArray) -> list[int | None]:
        """Where each of these terms stands; None for one that the segment lacks."""
        if len(terms) * HALVING_COST > len(self.terms_V):
            found: list[int | None] = pc.index_in(terms, value_set=self.terms_V).to_pylist()
            return found
        return [self._place(term) for term in terms.to_pylist()]

    def _place(self, term: str) -> int | None:
        begins, written = self._written
        sought, n = term.encode(), len(self.terms_V)

        def at(place: int) -> bytes:
            return bytes(written[begins[place] : begins[place + 1]])

        place = bisect_left(range(n), sought, key=at)
        return place if place < n and at(place) == sought else None

    @cached_property
    def _written(self) -> tuple[memoryview, memoryview]:
        """Where each term begins, and the last one ends, in the UTF-8 of all; its order is that of the texts."""
        _, begins, written = self.terms_V.buffers()
        first = self.terms_V.offset
        return memoryview(begins).cast("i")[first:], memoryview(written or b"")

    def postings(self, place: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Rows with the term at a place, and how often each has it."""
        start, end = self.offsets_V[place : place + 2]
        return self.row_P[start:end], self.count_P[start:end]


def open_terms(path: Path, n_items: int) -> SegmentTerms:
    """Map the inverted index of one segment.

    Args:
        path: a file that stage `features` wrote, perhaps in another workspace.
        n_items: live rows of the segment.

    Returns:
        The index; it leads to no row outside of the segment.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else, or was made by newer software; says why.
        pyarrow.ArrowException: it is not an Arrow file.
    """
    return segment_terms(map_foreign_arrow(path, lambda table: _require_terms(segment_terms(table), n_items)))


def segment_terms(table: pa.Table) -> SegmentTerms:
    """The arrays of a table, nothing copied; ValueError where it is no such table."""
    version = (table.schema.metadata or {}).get(b"words_version", b"").decode("ascii", "replace")
    if version != str(WORDS_VERSION):
        raise ValueError(f"holds words of version {version!r}, this Firstlight reads {WORDS_VERSION}")
    if not table.schema.equals(SCHEMA):
        raise ValueError(f"has the columns {', '.join(table.schema.names[:9])}")
    if any(column.num_chunks != 1 for column in table.columns):
        raise ValueError("is cut into pieces")
    terms_V, lists = (column.chunk(0) for column in table.columns)
    if terms_V.null_count or lists.null_count or lists.values.null_count:
        raise ValueError("holds nulls")
    row_P, count_P = (lists.values.field(name).to_numpy() for name in ("row", "count"))
    return SegmentTerms(terms_V, lists.offsets.to_numpy(), row_P, count_P)


def _require_terms(found: SegmentTerms, n_items: int) -> None:
    if (
        not pc.all(pc.less(found.terms_V[:-1], found.terms_V[1:]), min_count=0).as_py()
        or found.terms_V[0].as_py()
    ):
        raise ValueError("has terms in another order")
    every_row = found.row_P[found.offsets_V[0] : found.offsets_V[1]]
    if len(every_row) != n_items or (every_row != np.arange(n_items)).any():
        raise ValueError(f"is not of {n_items} items")
    if len(found.row_P) and (found.row_P.min() < 0 or found.row_P.max() >= n_items):
        raise ValueError(f"holds rows that are none of its {n_items} items")
    if (np.diff(found.offsets_V[1:]) < 1).any():
        raise ValueError("holds terms without items")
    rises_P = found.row_P[1:] > found.row_P[:-1]
    rises_P[found.offsets_V[1:-1] - 1] = True  # where another term begins
    if not rises_P.all():
        raise ValueError("holds items in another order")
    if (found.n_words_N < 0).any() or (found.count_P[found.offsets_V[1] :] < 1).any():
        raise ValueError("holds counts that are none")
