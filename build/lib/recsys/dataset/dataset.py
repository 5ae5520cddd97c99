"""What may be learned from: interactions, and the texts, tags and vectors of the same items."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recsys.dataset.interactions import Interactions

# Shape suffixes: I items, D dimension.


@dataclass(frozen=True)
class Dataset:
    """Interactions that may be learned from, with what is known of their items."""

    interactions: Interactions
    texts: tuple[str, ...]
    """One per item."""
    vectors_ID: NDArray[np.float32]
    """One per item, unit rows: an encoder's vectors, or the profiles that a head made of them."""
    ridge_lambda: float
    """λ of ridge users over these vectors."""
    seed: int
    """Of whatever is drawn while learning."""
    lexical_width: int = 0
    """Leading dimensions of the vectors that hold words, see `recsys.models.reference`."""
    tags: tuple[tuple[str, ...], ...] = ()
    """Categories of each item; () where none are known."""

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the item rows."""
        return self.interactions.item_ids

    @cached_property
    def warm(self) -> NDArray[np.int64]:
        """Rows of the items that somebody interacted with, ascending."""
        return self.interactions.warm
