"""Facts of the live items of a release: what each is related to, and what two of them share."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recsys.profiles.items import Latest

# Shape suffixes: I live items, P links.


@dataclass(frozen=True)
class SharedFact:
    """What relates two items, such as `director`, `Michael Mann`, `director`."""

    relation: str
    """Of the first item."""
    thing: str
    """What both are linked to; the id of one of them where they are linked to each other."""
    other_relation: str
    """Of the second item."""


@dataclass(frozen=True)
class ItemFacts:
    """Facts of live items, memory-mapped: `of` and `shared` read only those of their items."""

    tables: Sequence[pa.Table | None]
    """Per segment, one row per live row, see `recsys.features.facts`; None for a segment without any."""
    latest: Latest

    def links(self) -> tuple[NDArray[np.int64], pa.ChunkedArray]:
        """All links of all live items, newly gathered.

        Returns:
            Row of an item among the live ones, and the thing that it is linked to, both [P]. A thing that several
            relations lead to is there several times.
        """
        bounds = self.latest.bounds(len(self.tables))
        rows, things = [np.empty(0, np.int64)], list[pa.Array]()
        for table, start, end in zip(self.tables, bounds[:-1], bounds[1:], strict=True):
            if table is None:
                continue
            theirs = table["things"].take(pa.array(self.latest.row_of_item[start:end])).combine_chunks()
            n_I = pc.list_value_length(theirs).to_numpy(zero_copy_only=False)
            rows.append(np.repeat(np.arange(start, end), n_I))
            things.append(theirs.flatten())
        return np.concatenate(rows), pa.chunked_array(things, pa.string())

    def of(self, row: int) -> dict[str, str]:
        """The things that a live item is linked to.

        Args:
            row: its row among the live items.

        Returns:
            Thing -> the relation that leads to it; of several the first by name.
        """
        table = self.tables[int(self.latest.segment_of_item[row])]
        if table is None:
            return {}
        place = int(self.latest.row_of_item[row])
        relations, things = (table[name][place].as_py() or [] for name in ("relations", "things"))
        return dict(zip(reversed(things), reversed(relations), strict=True))

    def shared(self, row: int, other: int, most: int) -> tuple[SharedFact, ...]:
        """How two live items are related: by links between them, then by things that both are linked to.

        Args:
            row: of the first item.
            other: of the second item.
            most: facts to return at most.

        Returns:
            Facts by relation, then by thing.
        """
        mine, theirs = self.of(row), self.of(other)
        ids = self.latest.item_ids
        found = [SharedFact(mine[one], one, theirs[one]) for one in mine.keys() & theirs.keys()]
        links = [SharedFact(mine[ids[other]], ids[other], mine[ids[other]])] if ids[other] in mine else []
        return (*links, *sorted(found, key=lambda one: (one.relation, one.thing)))[:most]
