"""Ids of a catalogue's items as one Arrow column, with a hash index that finds rows by id.

A list of a million texts and a dict of their rows take 200 MB in every process that serves. This takes 12 bytes an item
beside the ids themselves.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.storage.strings import UNKNOWN, Strings

# Shape suffixes: I items, N ids that are looked up.


class ItemIds(Strings):
    """Distinct ids by row, and rows by id, from an index that is built when it is first needed."""

    def __contains__(self, item: object) -> bool:
        """Whether an id is one of these."""
        return isinstance(item, str) and self.row_of(item) is not None

    def row_of(self, item: str) -> int | None:
        """The row of an id; None where the id is unknown."""
        found = int(self.rows_of([item])[0])
        return None if found == UNKNOWN else found

    def rows_of(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Rows of ids.

        Args:
            items: N texts.

        Returns:
            rows_N; UNKNOWN for an id that is none of these.
        """
        hash_I, row_I = self._index
        hash_N = np.fromiter(map(hash, items), np.int64, len(items))
        rows_N = np.full(len(items), UNKNOWN, np.int64)
        for number, place in enumerate(np.searchsorted(hash_I, hash_N).tolist()):
            while place < len(hash_I) and hash_I[place] == hash_N[number]:  # several ids may have one hash
                row = int(row_I[place])
                if self.column[row].as_py() == items[number]:
                    rows_N[number] = row
                    break
                place += 1
        return rows_N

    def rows_by_scan(self, items: Sequence[str] | pa.Array) -> NDArray[np.int64]:
        """The same as `rows_of`, by reading all ids once: quicker for whoever asks once, since no index is built.

        Args:
            items: N texts.

        Returns:
            rows_N; UNKNOWN for an id that is none of these.
        """
        wanted = items if isinstance(items, pa.Array) else pa.array(items, pa.string())
        distinct = wanted.unique()
        place_I = pc.index_in(self.column, value_set=distinct)
        rows = np.flatnonzero(np.asarray(place_I.is_valid()))
        row_of_place = np.full(len(distinct), UNKNOWN, np.int64)
        row_of_place[np.asarray(place_I.drop_null())] = rows
        rows_N: NDArray[np.int64] = row_of_place[np.asarray(pc.index_in(wanted, value_set=distinct))]
        return rows_N

    @cached_property
    def _index(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Python's hashes of all ids, ascending, and the row of each. Nobody can make these keyed hashes collide."""
        hash_I = np.fromiter(map(hash, self), np.int64, len(self))
        row_I = np.argsort(hash_I).astype(np.int32)  # not stable, but several times as fast
        return hash_I[row_I], row_I


class NamedRows(Sequence[str]):
    """Distinct items of a catalogue by row. It reads as a list of their ids, which are only looked up where wanted.

    Args:
        ids: of the catalogue.
        rows: of the items.
    """

    def __init__(self, ids: ItemIds, rows: list[int]) -> None:
        self.ids, self.rows = ids, rows

    def __len__(self) -> int:
        """Number of items."""
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        """The id at one place, or at several."""
        return self.ids.at(self.rows[place]) if isinstance(place, slice) else self.ids[self.rows[place]]

    def __iter__(self) -> Iterator[str]:
        """Their ids."""
        return iter(self.ids.at(self.rows))
