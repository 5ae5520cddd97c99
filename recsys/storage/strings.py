"""Many strings in Arrow columns, such as the ids or texts of a catalogue. A million of them are no Python objects."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# Shape suffix: N rows of a column.
UNKNOWN = -1
"""The row of a string that is not there."""
MOST_BYTES = 2**31 - 1
"""What the offsets of `pa.string()` can count."""
AT_ONCE = 65_536
"""How many are held as Python strings at a time while all are read."""


class Strings(Sequence[str]):
    """Strings by row. It reads as a tuple of them and equals one, but a string is only made where it is wanted.

    Args:
        values: a column of strings without nulls, or strings.
    """

    def __init__(self, values: "Strings | pa.Array | pa.ChunkedArray | Iterable[str]") -> None:
        self.column: pa.Array = _one_array(values)
        """All of them, [N]."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.column)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> "Strings": ...
    def __getitem__(self, row: "int | slice") -> "str | Strings":
        """The string of one row, or those of several."""
        if isinstance(row, slice):
            return Strings(self.column[row])
        found: str = self.column[row].as_py()
        return found

    def __iter__(self) -> Iterator[str]:
        """All of them, in order."""
        for start in range(0, len(self), AT_ONCE):
            yield from self.column.slice(start, AT_ONCE).to_numpy(zero_copy_only=False)

    def __eq__(self, other: object) -> bool:
        """Whether another sequence holds the same strings in the same order."""
        if isinstance(other, Strings):
            one, two = self.column, other.column
            if one.type != two.type:  # both with the wider offsets: the others cannot count long columns
                one, two = one.cast(pa.large_string()), two.cast(pa.large_string())
            return bool(one.equals(two))
        return isinstance(other, list | tuple) and len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # nobody should hash a million strings

    def at(self, rows: Iterable[int]) -> list[str]:
        """Strings of a few rows, in their order."""
        return [self.column[row].as_py() for row in rows]

    def take(self, rows: NDArray[np.integer]) -> Self:
        """Those of some rows, in their order."""
        return type(self)(self.column.take(pa.array(rows)))

    def rows_in(self, column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
        """Find the strings of a column among these, by an index over these that is built for this question.

        Args:
            column: N strings, perhaps as a dictionary; a null is nowhere.

        Returns:
            rows_N, the first row of each; UNKNOWN where there is none.
        """
        found = [np.empty(0, np.int64)]
        for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            is_coded = isinstance(chunk, pa.DictionaryArray)
            values = chunk.dictionary if is_coded else chunk
            rows = np.asarray(pc.index_in(values, value_set=self.column).fill_null(UNKNOWN), np.int64)
            if is_coded:
                rows = np.append(rows, UNKNOWN)[np.asarray(chunk.indices.fill_null(len(values)))]
            found.append(rows)
        return np.concatenate(found)


def is_among(column: pa.Array | pa.ChunkedArray, wanted: pa.Array) -> NDArray[np.bool_]:
    """Whether each string of a column is one of some others.

    Args:
        column: N strings, perhaps as a dictionary, of which only the distinct ones are then looked up.
        wanted: strings.

    Returns:
        is_among_N.
    """
    is_among_N: NDArray[np.bool_] = Strings(wanted).rows_in(column) != UNKNOWN
    return is_among_N


def distinct(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The distinct strings of a column, sorted.

    Args:
        column: strings, perhaps as a dictionary, of which only those count that a row has.

    Returns:
        The strings, by code point.
    """
    found = pc.unique(column)
    if isinstance(found, pa.DictionaryArray):
        found = found.dictionary.take(found.indices)
    return found.drop_null().sort()


def unified(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column of strings as numbers into one dictionary.

    Args:
        column: strings, perhaps as dictionaries.

    Returns:
        The same strings. The dictionary may hold others as well.
    """
    # What Arrow encodes itself has one dictionary for all chunks, and unifying would read it once for each of them.
    is_coded = pa.types.is_dictionary(column.type)
    chunks = (column.unify_dictionaries() if is_coded else column.dictionary_encode()).chunks
    if not chunks:
        return pa.array([], pa.string()).dictionary_encode()
    numbers = pa.concat_arrays([chunk.indices for chunk in chunks])
    return pa.DictionaryArray.from_arrays(numbers, chunks[0].dictionary)


def ordered(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The same with a sorted dictionary: numbers compare as their strings do.

    Args:
        column: strings without nulls, perhaps as dictionaries.

    Returns:
        The same strings. The dictionary may hold others as well.
    """
    found = unified(column)
    order = pc.sort_indices(found.dictionary)
    rank = np.empty(len(order), np.int32)
    rank[np.asarray(order)] = np.arange(len(order), dtype=np.int32)
    numbers = pa.array(rank[np.asarray(found.indices)])
    return pa.DictionaryArray.from_arrays(numbers, found.dictionary.take(order))


def _one_array(values: "Strings | pa.Array | pa.ChunkedArray | Iterable[str]") -> pa.Array:
    if isinstance(values, Strings):
        return values.column
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, pa.string())  # in several chunks where one cannot hold them
    if isinstance(values, pa.ChunkedArray):
        if values.num_chunks == 1:
            return values.chunk(0)
        is_large = values.nbytes > MOST_BYTES
        return (values.cast(pa.large_string()) if is_large else values).combine_chunks()
    return values
