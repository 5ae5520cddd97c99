"""Which arrivals are judged: the newest landed files of a kind, small ones together. Only their records are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recsys.catalogue.arrival import Arrival as Record
from recsys.catalogue.parts import Part


@dataclass(frozen=True)
class Landed:
    """One landed file, and the part that holds its rows now."""

    record: Record
    part: Part

    @property
    def n_live(self) -> int:
        """Rows other than deletes, when it was accepted."""
        return max(0, self.record.n_rows - self.record.statistics.n_deletes)


@dataclass(frozen=True)
class Horizon:
    """The newest arrivals of a kind."""

    groups: tuple[tuple[Landed, ...], ...]
    """Arrivals in order; small ones that follow each other are one."""
    waiting: tuple[Landed, ...]
    """Files that are too small to be judged yet."""
    n_before: int
    """Arrivals that are older than those of `groups`."""


def horizon(parts: Sequence[Part], min_rows: int, n_arrivals: int) -> Horizon:
    """Group landed files into arrivals. Compaction changes nothing: it keeps the records of what it merges.

    Args:
        parts: of one kind, in order.
        min_rows: an arrival has at least so many rows that are no deletes.
        n_arrivals: so many of the newest ones are returned.

    Returns:
        The arrivals.
    """
    groups: list[tuple[Landed, ...]] = []
    waiting: list[Landed] = []
    for landed in _landed(parts):
        waiting.append(landed)
        if sum(one.n_live for one in waiting) >= min_rows:
            groups.append(tuple(waiting))
            waiting = []
    return Horizon(tuple(groups[-n_arrivals:]), tuple(waiting), max(0, len(groups) - n_arrivals))


def _landed(parts: Sequence[Part]) -> Iterator[Landed]:
    for part in parts:
        for record in part.arrival.landed():
            yield Landed(record, part)
