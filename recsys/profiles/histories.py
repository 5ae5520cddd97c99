"""Likes and dislikes of all users, from the histories of all parts."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.catalogue.opinions import (
    FURTHER,
    OPINIONS_SCHEMA,
    WITHDRAWAL,
    disliked_items,
    liked,
    liked_items,
    opinions,
    with_columns,
)

# Shape suffixes: I items, O opinions.
HISTORY_SCHEMA = OPINIONS_SCHEMA
PAIRS = ["user", "item_id", "timestamp"]
NAMES = ["user", "item_id"]
"""Columns that a table of opinions holds as dictionaries in memory."""


class Histories:
    """Likes and dislikes of all users. Over all parts, the latest interaction of a pair decides.

    Args:
        found: histories of the parts in HISTORY_SCHEMA, in order of arrival.
    """

    def __init__(self, found: pa.Table) -> None:
        for name in NAMES:  # kept once, not for each opinion
            if not pa.types.is_dictionary(found[name].type):
                place = found.column_names.index(name)
                found = found.set_column(place, name, found[name].dictionary_encode())
        ordered = opinions(found).combine_chunks()
        users = ordered["user"].chunk(0) if len(ordered) else pa.array([], pa.string()).dictionary_encode()
        self._users, self._user_O = users.dictionary, users.indices
        self._opinions = ordered.drop_columns("user")

    @property
    def pairs(self) -> pa.Table:
        """Likes: user, item_id, timestamp; sorted by user, first time (unknown last) and arrival."""
        user_O = self._users.take(self._user_O)
        return _with_names(liked(self._opinions.append_column("user", user_O)).select(PAIRS))

    @property
    def n_pairs(self) -> int:
        """Number of likes."""
        return int(pc.sum(self._is_like).as_py() or 0)

    def likes_of(self, item_ids: pa.Array) -> NDArray[np.int32]:
        """How many users like each of some items, [I]."""
        liked_ids = self._liked.dictionary
        n_users = np.bincount(self._liked.indices, minlength=len(liked_ids))
        place_I = pc.index_in(item_ids, value_set=liked_ids).fill_null(len(liked_ids))
        found: NDArray[np.int32] = np.append(n_users, 0)[np.asarray(place_I)].astype(np.int32)
        return found

    @property
    def liked_items(self) -> pa.Array:
        """Ids of the distinct items that somebody likes."""
        return _ids_of(self._liked.unique())

    @property
    def _liked(self) -> pa.DictionaryArray:
        """The item of each of `pairs`."""
        return _only_chunk(self._opinions["item_id"]).filter(self._is_like.combine_chunks())

    @cached_property
    def items(self) -> pa.Array:
        """Ids of all items that somebody likes, dislikes, or has withdrawn an opinion of."""
        return _ids_of(_only_chunk(self._opinions["item_id"]).unique())

    @cached_property
    def users(self) -> list[str]:
        """Pseudonyms of all users with likes, sorted."""
        likes = self._is_like.combine_chunks()
        found: list[str] = self._users.take(pc.unique(self._user_O.filter(likes))).to_pylist()
        return found

    @property
    def _is_like(self) -> pa.ChunkedArray:
        return pc.greater(self._opinions["weight"], WITHDRAWAL)

    def opinions_of(self, user: str) -> pa.Table:
        """A user's opinions of items, including withdrawn ones.

        Args:
            user: a pseudonym.

        Returns:
            A table in OPINIONS_SCHEMA, perhaps with columns of FURTHER: one row per item, by first time; empty for an
            unknown user.
        """
        row = self._row_of_user.get(user)
        start, end = (0, 0) if row is None else self._starts[row : row + 2].tolist()
        found = _with_names(self._opinions.slice(start, end - start))
        return found.add_column(0, OPINIONS_SCHEMA.field("user"), pa.repeat(user, end - start))

    def places_of(self, user: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """What a user likes and what they dislike, oldest first, as places in `names`.

        A service asks this for every list: it takes a tenth of the time of `opinions_of`.
        """
        row = self._row_of_user.get(user)
        start, end = (0, 0) if row is None else self._starts[row : row + 2].tolist()
        place_O, weight_O = self._place_O[start:end], self._weight_O[start:end]
        return place_O[weight_O > WITHDRAWAL], place_O[weight_O < WITHDRAWAL]

    @property
    def names(self) -> pa.Array:
        """Ids of the distinct items that somebody has an opinion of, in no order."""
        return _only_chunk(self._opinions["item_id"]).dictionary

    @cached_property
    def _place_O(self) -> NDArray[np.int32]:
        places = _only_chunk(self._opinions["item_id"]).indices
        return np.asarray(places).astype(np.int32, copy=False)

    @cached_property
    def _weight_O(self) -> NDArray[np.float32]:
        return np.asarray(_only_chunk(self._opinions["weight"]))

    def items_of(self, user: str) -> tuple[str, ...]:
        """The distinct items that the user likes, oldest first; () for an unknown user."""
        return liked_items(self.opinions_of(user))

    def disliked_by(self, user: str) -> tuple[str, ...]:
        """The distinct items that the user dislikes. They are not recommended again, and teach nothing."""
        return disliked_items(self.opinions_of(user))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """The first row of each user's opinions; one more row for the end."""
        codes = self._user_O.to_numpy(zero_copy_only=False)
        return np.searchsorted(codes, np.arange(len(self._users) + 1)).astype(np.int64)

    @cached_property
    def _row_of_user(self) -> dict[str, int]:
        return {user: row for row, user in enumerate(self._users.to_pylist())}


def _with_names(found: pa.Table) -> pa.Table:
    """The same rows with ids of items instead of numbers in a dictionary."""
    place = found.column_names.index("item_id")
    # A cast would read the whole dictionary for the few rows of one user.
    names = pa.chunked_array([_ids_of(chunk) for chunk in found["item_id"].chunks], pa.string())
    return found.set_column(place, "item_id", names)


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    """A column of a table whose chunks were combined. `combine_chunks` would copy it once more."""
    return column.chunk(0) if column.num_chunks else column.combine_chunks()


def _ids_of(items: pa.DictionaryArray) -> pa.Array:
    return items.dictionary.take(items.indices)


def joined(tables: Iterable[pa.Table]) -> Histories:
    """Histories from the opinions of several files.

    Args:
        tables: of each file, in the order of their parts.

    Returns:
        The histories; empty for no tables.
    """
    found = [*tables] or [HISTORY_SCHEMA.empty_table()]
    further = {name for table in found for name in table.column_names if name in FURTHER}
    return Histories(pa.concat_tables([with_columns(table, further) for table in found]))
