"""Facts of the live items of a release: what each is related to, and what two of them share."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from recsys.profiles.items import Latest


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
    """Facts of live items, memory-mapped: only those of requested items are read."""

    tables: Sequence[pa.Table | None]
    """Per segment, one row per live row, see `recsys.features.facts`; None for a segment without any."""
    latest: Latest

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
