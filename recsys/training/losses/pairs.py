"""Objective `pairs`: multiple negatives ranking between two items of a user, with gradient on both sides.

Paper: Henderson et al. 2017, "Efficient natural language response suggestion for smart reply", arXiv:1705.00652;
the loss that sentence-transformers calls MultipleNegativesRankingLoss.
"""

import torch
from torch import Tensor

# Shape suffixes: P pairs, D dimension.


def ranked_pairs(
    anchor_PD: Tensor, positive_PD: Tensor, masked_PP: Tensor | None, temperature: float
) -> Tensor:
    """Cross entropy of each anchor's positive among all positives of the batch.

    Args:
        anchor_PD: unit vectors.
        positive_PD: unit vectors; row p is the positive of anchor p.
        masked_PP: bool, positives of other anchors that must not be negatives of an anchor; None: none.
        temperature: cosines are divided by it.

    Returns:
        A scalar, the mean over the anchors.
    """
    scores_PP = anchor_PD @ positive_PD.T / temperature
    if masked_PP is not None:
        scores_PP = scores_PP.masked_fill(masked_PP, -torch.inf)
    own = torch.arange(len(scores_PP), device=scores_PP.device)
    return torch.nn.functional.cross_entropy(scores_PP, own)
