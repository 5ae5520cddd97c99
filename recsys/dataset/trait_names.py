"""Names of traits of items, see `traits.py`; light enough for `params.py` of any room."""

from dataclasses import dataclass

TAGS, AGE = "tags", "age"
"""Traits that are no attributes: the tags of the catalogue, and when an item had its first interaction."""


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


NONE = TraitNames()
