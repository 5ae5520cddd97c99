"""Heater: randomised training and a mixture of experts that maps content to collaborative factors.

Zhu, Sefati, Saadatpanah, Caverlee: Recommendation for New Users and New Items via Randomized Training and
Mixture-of-Experts Transformation, SIGIR 2020. Settings not tuned are those of the authors' code for CiteULike: one
tower layer and experts of 200, learning rate .005 with momentum .9, L2 1e-4, similarity weight 1e-4, 5 experts, 5
negatives for a positive, half of the items trained through their content.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.rivals.inputs import Inputs, standardised
from bench.rivals.towers import Block, Embedded, blocks, dense, descend, momentum, tower

# Shape suffixes: U users, W known items, A users of a block, B items of a block, F factors, P content,
# X experts, E embedding, C asked items.
ITEM_CAP = 1.0
"""Experts end in tanh, so the authors cut standardised item factors here."""
AUTHORS_BATCH = 1024
"""Their similarity loss is a sum over a batch of pairs while the rest is a mean: its weight depends on this."""


@dataclass(frozen=True)
class Heater:
    """Hyper-parameters."""

    learning_rate: float = 0.005
    alpha: float = 1e-4
    """Weight of the squared distance between what the experts make of a content and the item's factors."""
    l2: float = 1e-4
    dropped: float = 0.5
    """Share of items that are trained through their content."""
    experts: int = 5
    negatives: int = 5


class HeaterNet(nn.Module):
    """Experts from content to factors, and a tower for each side."""

    def __init__(self, content_width: int, factors: int, experts: int) -> None:
        super().__init__()
        self.gate = dense(content_width, experts)
        self.experts = nn.ModuleList(dense(content_width, factors) for _ in range(experts))
        self.user_tower, self.item_tower = tower(factors), tower(factors)

    def estimate(self, content_BP: torch.Tensor) -> torch.Tensor:
        """Factors [B, F] that the experts expect for these contents."""
        experts_BXF: torch.Tensor = torch.stack([expert(content_BP).tanh() for expert in self.experts], dim=1)
        gates_BX: torch.Tensor = self.gate(content_BP).tanh()
        return (gates_BX[:, :, None] * experts_BXF).sum(dim=1).tanh()


@dataclass(frozen=True)
class Drawing:
    """How the authors draw pairs: every positive once per epoch, and any item `negatives` times for each of them."""

    n_drawn: float
    """Pairs in an epoch."""
    unmet_U: torch.Tensor
    """How often a user is drawn with any one item as a negative."""
    share_W: torch.Tensor
    """Of all draws, those of an item."""

    def error(self, scores_AB: torch.Tensor, met_AB: torch.Tensor, block: Block) -> torch.Tensor:
        """Their mean squared error, estimated from a block: target 1 for positives, 0 for negatives."""
        unmet_A1 = self.unmet_U[block.users, None]
        return (met_AB * (scores_AB - 1) ** 2 + unmet_A1 * scores_AB**2).sum() * (block.scale / self.n_drawn)

    def apart(self, estimate_BF: torch.Tensor, real_BF: torch.Tensor, block: Block) -> torch.Tensor:
        """Their sum over a batch of squared distances between estimated and real factors."""
        apart_B = ((estimate_BF - real_BF) ** 2).sum(dim=1)
        mean = (self.share_W[block.items] * apart_B).sum() * (len(self.share_W) / len(block.items))
        return AUTHORS_BATCH * mean


def drawing(interacted_UW: NDArray[np.bool_], negatives: int) -> Drawing:
    """Count how often users and items are drawn.

    Args:
        interacted_UW: which user interacted with which item.
        negatives: per positive, drawn from all known items.

    Returns:
        The counts.
    """
    n_U, n_W = (interacted_UW.sum(axis=axis, dtype=np.float32) for axis in (1, 0))
    n_pairs, n_items = float(n_U.sum()), len(n_W)
    n_drawn = n_pairs * (1 + negatives)
    share_W = (n_W + negatives * n_pairs / n_items) / n_drawn
    return Drawing(n_drawn, torch.from_numpy(negatives * n_U / n_items), torch.from_numpy(share_W))


def train(inputs: Inputs, settings: Heater, seed: int, check_steps: int) -> Iterator[Embedded]:
    """Train without end; every `check_steps` steps, yield the embeddings of users and cold items.

    Args:
        inputs: features and factors.
        settings: hyper-parameters.
        seed: of first weights and of what is drawn.
        check_steps: steps between two results.

    Yields:
        All users and cold items.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    users_UF = torch.from_numpy(standardised(inputs.users_UF)[0])
    items_WF = torch.from_numpy(standardised(inputs.items_WF, cap=ITEM_CAP)[0])
    content_WP, asked_CP = torch.from_numpy(inputs.content_WP), torch.from_numpy(inputs.asked_CP)
    drawn = drawing(inputs.dense_UW, settings.negatives)
    net = HeaterNet(content_WP.shape[1], users_UF.shape[1], settings.experts)
    optimizer = momentum(net, settings.learning_rate, settings.l2)
    active = np.flatnonzero(inputs.dense_UW.any(axis=1))
    for step, block in enumerate(blocks(active, len(items_WF), rng), start=1):
        net.train()
        real_BF, estimate_BF = items_WF[block.items], net.estimate(content_WP[block.items])
        dropped_B1 = torch.from_numpy(rng.random((len(block.items), 1)) < settings.dropped)
        items_BE = net.item_tower(torch.where(dropped_B1, estimate_BF, real_BF))
        met_AB = torch.from_numpy(inputs.dense_UW[np.ix_(block.users, block.items)]).float()
        error = drawn.error(net.user_tower(users_UF[block.users]) @ items_BE.T, met_AB, block)
        descend(optimizer, error + settings.alpha * drawn.apart(estimate_BF, real_BF, block), step)
        if step % check_steps == 0:
            net.eval()
            with torch.no_grad():
                sides = net.user_tower(users_UF), net.item_tower(net.estimate(asked_CP))
            yield Embedded(step, *(side.numpy() for side in sides))
