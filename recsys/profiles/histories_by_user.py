"""Histories of some users, found without reading those of all others.

A part's history is a Parquet file in the order of users. It is copied once into an Arrow file, which is mapped: there
the rows of a user are found by binary search, and only these are read. The copies take about 28 bytes an interaction.
They only save time.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.profiles.histories import Histories, joined
from recsys.profiles.history_files import read_history
from recsys.storage.strays import remove_strays
from recsys.storage.tables import map_arrow, write_arrow

# Shape suffixes: N distinct users of a file, O its opinions, W users that are wanted.
ENDING = ".arrow"


@dataclass(frozen=True)
class HistoriesByUser:
    """History files that are read by user."""

    folder: Path | None
    """Where the copies lie; None: they are made in memory each time."""

    def of(self, files: Sequence[Path], users: pa.Array) -> Histories:
        """Histories of some users, as they would be among all.

        Args:
            files: history files in the order of their parts.
            users: pseudonyms.

        Returns:
            The histories; nothing of users who are in no file.
        """
        return joined(_rows_of(self._sorted(file), users) for file in files)

    def next_users(self, files: Sequence[Path], first: str, n: int) -> pa.Array:
        """The users who follow a text in the alphabet; after the last one it goes on with the first.

        Args:
            files: history files.
            first: where to begin.
            n: how many.

        Returns:
            At most n distinct pseudonyms, in this order; fewer where there are no more.
        """
        found = [pa.array([], pa.string())]
        for file in files:
            names = _names_of(self._sorted(file))
            start = bisect_left(range(len(names)), first, key=lambda row: names[row].as_py())
            found += [names.slice(start, n), names.slice(0, min(start, n))]
        users = pa.concat_arrays(found).unique().sort()
        begin = pc.sum(pc.less(users, first)).as_py() or 0
        return pa.concat_arrays([users.slice(begin), users.slice(0, begin)]).slice(0, n)

    def keep_only(self, names: Iterable[str]) -> None:
        """Delete copies of files with other names."""
        if self.folder and self.folder.is_dir():
            remove_strays(self.folder, {self.folder / f"{name}{ENDING}" for name in names})

    def _sorted(self, file: Path) -> pa.Table:
        """A history file in the order of users, whose names are one sorted dictionary."""
        if self.folder is None:
            return _by_user(file)
        copy = self.folder / f"{file.name}{ENDING}"
        with suppress(OSError, pa.ArrowException):  # it is missing, or damaged
            return map_arrow(copy)
        write_arrow(copy, _by_user(file))
        return map_arrow(copy)


IN_MEMORY = HistoriesByUser(None)
"""Keeps no copies."""


def _by_user(file: Path) -> pa.Table:
    """The rows of a file by user, in their order; users and items are numbers into one dictionary each."""
    found = read_history(file).unify_dictionaries().combine_chunks()
    if not len(found):
        return found
    users = found["user"].chunk(0)
    order = pc.sort_indices(users.dictionary)
    rank_N = np.empty(len(order), np.int32)
    rank_N[np.asarray(order)] = np.arange(len(order), dtype=np.int32)
    user_O = rank_N[np.asarray(users.indices)]
    names = pa.DictionaryArray.from_arrays(pa.array(user_O), users.dictionary.take(order))
    found = found.set_column(found.column_names.index("user"), "user", names)
    if (np.diff(user_O) < 0).any():  # as `write_histories` never leaves it
        found = found.take(pa.array(np.argsort(user_O, kind="stable"))).combine_chunks()
    return found


def _names_of(table: pa.Table) -> pa.Array:
    return table["user"].chunk(0).dictionary if len(table) else pa.array([], pa.string())


def _rows_of(table: pa.Table, users: pa.Array) -> pa.Table:
    """The rows of some users, with names instead of numbers."""
    rows = pa.array(_places(table, users))
    columns = {name: table[name].take(rows) for name in table.column_names}
    is_named = {name: pa.types.is_dictionary(column.type) for name, column in columns.items()}
    return pa.table({name: one.cast(pa.string()) if is_named[name] else one for name, one in columns.items()})


def _places(table: pa.Table, users: pa.Array) -> NDArray[np.int64]:
    """Where the opinions of some users are, in order."""
    if not len(table):
        return np.empty(0, np.int64)
    encoded = table["user"].chunk(0)
    user_W = np.flatnonzero(np.asarray(pc.is_in(encoded.dictionary, value_set=users)))
    user_O = np.asarray(encoded.indices)
    start_W, end_W = np.searchsorted(user_O, user_W), np.searchsorted(user_O, user_W, "right")
    return np.concatenate(
        [np.empty(0, np.int64), *(np.arange(*ends) for ends in zip(start_W, end_W, strict=True))]
    )
