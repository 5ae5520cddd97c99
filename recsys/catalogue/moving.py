"""Move accepted files out of the landing zone: each at once, or all together at the end."""

from collections.abc import Sequence

from recsys.catalogue.grouping import Move, Plan
from recsys.catalogue.landing import PROCESSED, Landed
from recsys.errors import StorageError
from recsys.storage.protocol import Storage


class Moves:
    """The moves of one run of intake. The plan has each on disk before it is made.

    Args:
        landing: the landing zone.
        plan: what is being taken in.
        are_deferred: whether they wait for `make_deferred`.
    """

    def __init__(self, landing: Storage, plan: Plan, *, are_deferred: bool) -> None:
        self._landing = landing
        self._plan = plan
        self._deferred: list[Move] | None = [] if are_deferred else None

    def finish(self) -> None:
        """Finish, or undo, the moves that a killed run had begun.

        Raises:
            StorageError: the landing zone cannot be used.
        """
        for move in self._plan.moves():
            self._make(move)

    def make(self, moves: Sequence[Move]) -> dict[Move, tuple[str, ...]]:
        """Move accepted files, or defer that; notes about those that will be tried again."""
        if self._deferred is not None:
            self._deferred += moves
            return {}
        self._plan.moving(moves)
        return {move: notes for move in moves if (notes := self._make(move))}

    def make_deferred(self) -> dict[str, tuple[str, ...]]:
        """Make the moves that were deferred. Killed before, the next run finds the parts and moves the files then.

        Returns:
            Landed file -> notes about one that will be tried again.

        Raises:
            StorageError: the landing zone cannot be used.
        """
        moves, self._deferred = self._deferred or [], None
        notes = self.make(moves)
        self._plan.end()
        return {move.key: found for move, found in notes.items()}

    def _make(self, move: Move) -> tuple[str, ...]:
        try:
            self._landing.take(move.key, move.tag, move.to)
        except StorageError as error:
            return (f"accepted, but it cannot be moved to {move.to}; the next run tries again: {error}",)
        return ()


def move_of(landed: Landed, place: str) -> Move:
    """The move of an accepted file to processed/<place>/."""
    return Move(landed.key, landed.tag, f"{PROCESSED}/{place}/{landed.name}")
