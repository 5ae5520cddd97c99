"""Settings of ranker `mlp`, and learning it from a whole dataset with them."""

from dataclasses import dataclass

from recsys.dataset.dataset import Dataset
from recsys.dataset.trait_names import NONE, TraitNames
from recsys.ranking.dot import Dot
from recsys.ranking.event_heads import EventHeads
from recsys.ranking.item_weights import ItemWeights
from recsys.ranking.learning import ItemWeightsSettings
from recsys.ranking.mlp import Mlp


@dataclass(frozen=True)
class MlpSettings:
    """What validation chose and learned."""

    heads: EventHeads
    """Learned on interactions that were held out of everything that their features are computed from
    (`recsys/validation/learned.py`), so they cannot be learned again from a dataset that contains all interactions."""
    weights: ItemWeightsSettings | None
    """Of the first ranker; None: the inner product."""
    depth: int
    """Candidates that are ranked again."""
    purchase_weight: float
    """See `Mlp.purchase_weight`."""
    traits: TraitNames = NONE
    """See `Mlp.traits`."""


def learn_mlp(dataset: Dataset, settings: MlpSettings) -> Mlp | None:
    """Learn the first ranker from all interactions, and add the heads as second ranker.

    Args:
        dataset: with the profiles that scores are made of.
        settings: what validation chose.

    Returns:
        None where there is too little to learn from.
    """
    if len(dataset.warm) < 2:
        return None
    return mlp_over(ItemWeights.learn(dataset, settings.weights) if settings.weights else None, settings)


def mlp_over(weights: ItemWeights | None, settings: MlpSettings) -> Mlp:
    """Add the heads to a first ranker.

    Args:
        weights: the first ranker; None: the inner product.
        settings: what validation chose.

    Returns:
        The ranker.
    """
    return Mlp(weights or Dot(), settings.heads, settings.depth, settings.purchase_weight, settings.traits)
