"""Loss on co-occurrence: pull items with common users together.

Paper: Barkan & Koenigstein 2016, "Item2Vec: neural item embedding for collaborative filtering", arXiv:1603.04259
(items of one history as each other's context). Here the targets are soft: the cosines of co-occurrence, not samples.
"""

import torch
from torch import Tensor

# Shape suffixes: B items of the batch, D dimension.


def co_occurrence_softmax(x_BD: Tensor, shared_BB: Tensor, temperature: float) -> Tensor:
    """Cross entropy between each item's softmax over the batch and its co-occurrence with the other items.

    Args:
        x_BD: unit vectors of the batch's items.
        shared_BB: weight >= 0 of each pair, such as users in common over the root of both counts; the diagonal is 0.
        temperature: cosines are divided by it.

    Returns:
        A scalar: the mean over items that have users in common with another item; 0 where there are none.
    """
    own_BB = torch.eye(len(x_BD), dtype=torch.bool, device=x_BD.device)
    shared_BB = shared_BB.masked_fill(own_BB, 0)
    has_B = shared_BB.sum(1) > 0
    scores_BB = (x_BD @ x_BD.T / temperature).masked_fill(own_BB, -torch.inf)
    log_share_BB = scores_BB.log_softmax(1).masked_fill(own_BB, 0)[has_B]
    target_BB = shared_BB[has_B] / shared_BB[has_B].sum(1, keepdim=True)
    return -(target_BB * log_share_BB).sum() / max(1, int(has_B.sum()))
