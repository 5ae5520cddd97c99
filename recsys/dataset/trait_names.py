"""Names of traits of items, see `traits.py`; light enough for `params.py` of any room."""

from dataclasses import dataclass

TAGS, RELATIONS, AGE = "tags", "relations", "age"
"""Traits that are no attributes: the tags of the catalogue, what an item is linked to, and when it had its first
interaction."""


@dataclass(frozen=True)
class TraitNames:
    """Which traits a ranker reads."""

    sets: tuple[str, ...] = ()
    """Items are compared by the values that they share."""
    numbers: tuple[str, ...] = ()
    """Items are compared by how far their values are apart."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self.sets) + len(self.numbers)

    @property
    def of_catalogue(self) -> "TraitNames":
        """The tags and attributes: without `relations` and `age`, which are made of other data."""
        return TraitNames(
            tuple(name for name in self.sets if name != RELATIONS),
            tuple(name for name in self.numbers if name != AGE),
        )


NONE = TraitNames()
