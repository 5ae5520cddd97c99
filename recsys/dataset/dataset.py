"""A dataset to learn from: interactions, with texts, tags and vectors of the same items."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recsys.catalogue.weighting import YES_OR_NO, Weighting
from recsys.dataset.interactions import Interactions
from recsys.dataset.traits import Traits
from recsys.features.views import Views

# Shape suffixes: I items, D dimension.


@dataclass(frozen=True)
class Dataset:
    """Interactions to learn from, with the content of their items."""

    interactions: Interactions
    texts: Sequence[str]
    """One per item; `Strings` where they come from files."""
    vectors_ID: NDArray[np.float32]
    """One unit row per item: an encoder's vectors, or a head's profiles."""
    ridge_lambda: float
    """λ of ridge users over these vectors."""
    seed: int
    """Seed of everything random in learning."""
    lexical_width: int = 0
    """Number of leading dimensions that ridge regression leaves out, see `recsys.heads.reference`."""
    prior_weight: float = 0.0
    """Weight of their prior, see `recsys.profiles.prior`."""
    typical_weight: float = 0.0
    """Weight of the typical history for users with short histories, see `recsys.ranking.typical`."""
    weighting: Weighting = YES_OR_NO
    """How much each like and dislike counts in user profiles."""
    tags: pa.Array | None = None
    """Categories of each item, a list of strings or null for each; None: nobody has any."""
    traits: Traits = field(default_factory=Traits)
    """Tags, attributes and times that a ranker may read, over the same items."""
    views: Views = field(default_factory=dict)
    """Further evidence about the same items, which a head may join."""

    @property
    def item_ids(self) -> Sequence[str]:
        """Ids of the item rows."""
        return self.interactions.item_ids

    @cached_property
    def warm(self) -> NDArray[np.int64]:
        """Rows of the items with interactions, ascending."""
        return self.interactions.warm
