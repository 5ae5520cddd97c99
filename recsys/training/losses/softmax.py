"""Sampled softmax over the items of a batch, and over its users.

Papers: Yi et al. 2019, RecSys, "Sampling-bias-corrected neural modeling for large corpus item recommendations"
(in-batch negatives, logQ); Radford et al. 2021, ICML (both directions); Bengio & Senécal 2003, AISTATS (why logQ).
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

# Shape suffixes: U users, B items of the batch, D dimension.


def two_sided_softmax(
    scores_UB: Tensor,
    positive_UB: Tensor,
    masked_UB: Tensor,
    log_chance_B: Tensor,
    item_side: float,
) -> Tensor:
    """Softmax over the batch's items for each user, and over the batch's users for each item.

    A positive competes with negatives only, never with the same user's other positives:
    -log(e^p / (e^p + Σ e^n)) = softplus(logsumexp(n) - p). Every user counts the same, and every item.

    Args:
        scores_UB: cosines divided by the temperature.
        positive_UB: bool, pairs with an interaction.
        masked_UB: bool, other pairs that must not be negatives.
        log_chance_B: log of each item's probability to be in the batch, times the share that is subtracted.
        item_side: weight of the second softmax; 0: it is not computed.

    Returns:
        A scalar: mean over users + item_side * mean over items; 0 where nobody has a negative.
    """
    negative_UB = ~(positive_UB | masked_UB)
    corrected_UB = scores_UB - log_chance_B
    loss = _mean_over_rows(corrected_UB, positive_UB, negative_UB)
    if item_side > 0:
        loss = loss + item_side * _mean_over_rows(scores_UB.T, positive_UB.T, negative_UB.T)
    return loss


def _mean_over_rows(scores_RC: Tensor, positive_RC: Tensor, negative_RC: Tensor) -> Tensor:
    # A row without negatives or positives is left out; logsumexp over nothing has no gradient.
    is_used_R = positive_RC.any(1) & negative_RC.any(1)
    scores_RC, positive_RC, negative_RC = scores_RC[is_used_R], positive_RC[is_used_R], negative_RC[is_used_R]
    rivals_R1 = scores_RC.masked_fill(~negative_RC, -torch.inf).logsumexp(1, keepdim=True)
    per_pair_RC = softplus(rivals_R1 - scores_RC).masked_fill(~positive_RC, 0)
    per_row_R = per_pair_RC.sum(1) / positive_RC.sum(1)
    return per_row_R.sum() / max(1, len(per_row_R))
