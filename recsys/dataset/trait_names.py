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
        """Those that columns of the catalogue may hold: no attribute stands for what has landed in relations/."""
        return TraitNames(tuple(name for name in self.sets if name != RELATIONS), self.numbers)


NONE = TraitNames()
