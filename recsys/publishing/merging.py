"""Three-way merges of what holds landed parts: segments, and histories."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from recsys.errors import ReleaseError


class Holder(Protocol):
    """A segment or a history; it holds the rows of some landed parts."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Landed parts."""


H = TypeVar("H", bound=Holder)


def merged(
    ours: Sequence[H], theirs: Sequence[H], base: Collection[str], name: Callable[[H], str]
) -> tuple[H, ...]:
    """Merge two sides' holders three ways: what both have, and what either has added since the base.

    Args:
        ours: of this workspace.
        theirs: of the newest release.
        base: names of what this workspace published last.
        name: of a holder.

    Returns:
        Holders by name, without those whose parts others cover.
    """
    our_names, their_names = {name(h) for h in ours}, {name(h) for h in theirs}
    kept = [h for h in ours if name(h) in their_names or name(h) not in base]
    kept += [h for h in theirs if name(h) not in our_names and name(h) not in base]
    return tuple(sorted(_needed(kept), key=name))


def _needed(holders: Sequence[H]) -> list[H]:
    """Leave out holders whose parts others cover; of equal ones the first (ours) stays."""
    places: dict[str, list[int]] = {}
    for place, holder in enumerate(holders):
        for part in holder.parts:
            places.setdefault(part, []).append(place)
    return [holder for place, holder in enumerate(holders) if not _covered(place, holders, places)]


def _covered(place: int, holders: Sequence[Holder], places: Mapping[str, Sequence[int]]) -> bool:
    mine = set(holders[place].parts)
    rivals = {rival for part in mine for rival in places[part]} - {place}
    covering = [(rival, set(holders[rival].parts)) for rival in rivals]
    return any(mine < parts or (mine == parts and rival < place) for rival, parts in covering)


def refuse_two_mergers(release: str, holders: Iterable[Holder]) -> None:
    """Refuse a part that both sides merged with different others: its rows would be there twice.

    Args:
        release: id of the other side.
        holders: of both sides, merged.

    Raises:
        ReleaseError: two of them hold the same part; names it.
    """
    counted = Counter(part for holder in holders for part in holder.parts)
    twice = sorted(part for part, n in counted.items() if n > 1)
    if twice:
        raise ReleaseError(
            f"this workspace and release {release} have merged part {twice[0]} with different others",
            remedy="bring this workspace's data up to date (git pull, dvc pull), run dvc repro, then publish; "
            "let only one workspace run `recsys compact`",
        )
