"""The three-way merge of segments by itself: nothing lost, nothing twice, compaction on either side."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.publishing import merging


@dataclass(frozen=True)
class Held:
    name: str
    parts: tuple[str, ...]


def held(*names: str) -> list[Held]:
    """ "ab" holds parts a and b."""
    return [Held(name, tuple(name)) for name in names]


def merged(ours: str, base: str, theirs: str) -> str:
    found = merging.merged(
        held(*ours.split()), held(*theirs.split()), set(base.split()), lambda one: one.name
    )
    return " ".join(one.name for one in found)


@pytest.mark.parametrize(
    ("ours", "base", "theirs", "joined"),
    [
        ("a b", "a", "a", "a b"),
        ("a b", "a", "a c", "a b c"),
        ("a b", "", "a c", "a b c"),  # var/ was deleted: nothing is known to have been removed
        ("a", "a b", "a b", "a"),  # data was taken back here
        ("a b", "a b", "a", "a"),  # and there
        ("a b", "a b", "ab c", "ab c"),  # they merged
        ("ab", "a b", "a b c", "ab c"),  # we merged
        ("ab", "", "a b c", "ab c"),  # we merged, and var/ was deleted
        ("abc", "a b", "ab", "abc"),  # we merged more than they
        ("a b d", "a b", "abc", "abc d"),
        ("ab", "a b", "ab", "ab"),  # both merged the same
        ("", "", "a", "a"),
        ("a", "", "", "a"),
    ],
)
def test_hand_made_cases(ours: str, base: str, theirs: str, joined: str) -> None:
    assert merged(ours, base, theirs) == joined


names = st.sets(st.sampled_from("abcdefgh"))


@given(names, names, names)
def test_both_deltas_are_always_in_and_nothing_else(base: set[str], mine: set[str], yours: set[str]) -> None:
    ours, theirs = base | mine, base | yours
    found = set(merged(" ".join(ours), " ".join(base), " ".join(theirs)).split())
    assert found == base | mine | yours


@given(names, names, names, st.integers(0, 8))
def test_compaction_on_our_side_loses_nothing(
    base: set[str], mine: set[str], yours: set[str], n: int
) -> None:
    ours = sorted(base | mine)
    first, rest = "".join(ours[:n]), ours[n:]
    found = merged(" ".join([first, *rest]), " ".join(base), " ".join(base | yours))
    assert {part for name in found.split() for part in name} == base | mine | yours
