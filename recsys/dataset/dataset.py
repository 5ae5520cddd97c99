"""What may be learned from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Shape suffixes: U users, I items, D dimension, L width of the base encoder.


@dataclass(frozen=True)
class Shop:
    """What a head may be learned from. Rows are items and users."""

    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    vectors_IL: NDArray[np.float32]
    """By the base encoder, unit rows."""
    histories_UI: csr_array
    """1 where a user met an item; items that nobody met teach nothing."""

    @property
    def warm(self) -> NDArray[np.int64]:
        """Rows of the items that somebody met."""
        return np.flatnonzero(np.asarray(self.histories_UI.sum(axis=0)).ravel())


@dataclass(frozen=True)
class Known:
    """What a recaller may learn from: texts, and interactions from before the cut. Rows are items and users."""

    vectors_ID: NDArray[np.float32]
    """Item profiles, float32, unit rows, by the encoder that is judged; a trained one may know these interactions."""
    texts: tuple[str, ...]
    """One per item."""
    tags: tuple[tuple[str, ...], ...]
    """Categories of each item."""
    histories_UI: csr_array
    """1 where a user met an item before the cut."""
    ridge_lambda: float
    seed: int
    lexical_width: int = 0
    """Leading dimensions of the profiles that hold words, see `EncoderReference.lexical_width`."""

    @cached_property
    def n_met_I(self) -> NDArray[np.int64]:
        """Interactions of each item before the cut."""
        return np.asarray(self.histories_UI.sum(axis=0), np.int64).ravel()

    @property
    def warm(self) -> NDArray[np.int64]:
        """Rows of items with an interaction before the cut."""
        return np.flatnonzero(self.n_met_I)
