"""DropoutNet: towers over factors and content that learn to reproduce factor scores when factors are missing.

Volkovs, Yu, Poutanen: DropoutNet: Addressing Cold Start in Recommender Systems, NIPS 2017. Settings not tuned are
those of the authors' code for cold CiteULike: one hidden layer of 200, learning rate .005 with momentum .9, factors
dropped for half of the users and half of the items; targets are the factors' own scores, on each user's 2,500 best
items and as many at random.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.rivals.inputs import Inputs, standardised
from bench.rivals.towers import Embedded, blocks, descend, momentum, tower

BEST_SHARE = 2500 / 16980
"""Of the items that are a user's best ones: theirs on CiteULike."""


@dataclass(frozen=True)
class DropoutNet:
    """Hyper-parameters."""

    learning_rate: float = 0.005
    dropped: float = 0.5
    """Share of users, and of items, whose factors are set to 0 in a step."""
    l2: float = 0.0


class DropoutNetTowers(nn.Module):
    """A tower for each side; items give factors and content, users their factors."""

    def __init__(self, factors: int, content_width: int) -> None:
        super().__init__()
        self.user_tower, self.item_tower = tower(factors), tower(factors + content_width)


def best_from(inputs: Inputs, users: NDArray[np.int64]) -> NDArray[np.float32]:
    """Score from which an item belongs to a user's best ones, [U]; inf for other users."""
    n_best = max(1, round(BEST_SHARE * len(inputs.items_WF)))
    from_U = np.full(len(inputs.users_UF), np.inf, np.float32)
    for start in range(0, len(users), 512):
        rows = users[start : start + 512]
        from_U[rows] = -np.partition(-(inputs.users_UF[rows] @ inputs.items_WF.T), n_best - 1)[:, n_best - 1]
    return from_U


def train(inputs: Inputs, settings: DropoutNet, seed: int, check_steps: int) -> Iterator[Embedded]:
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
    items_WF = torch.from_numpy(standardised(inputs.items_WF)[0])
    raw_users_UF, raw_items_WF = torch.from_numpy(inputs.users_UF), torch.from_numpy(inputs.items_WF)
    content_WP, asked_CP = torch.from_numpy(inputs.content_WP), torch.from_numpy(inputs.asked_CP)
    asked = torch.cat([torch.zeros(len(asked_CP), items_WF.shape[1]), asked_CP], dim=1)
    active = np.flatnonzero(np.diff(inputs.interacted_UW.indptr))
    best_from_U1 = torch.from_numpy(best_from(inputs, active))[:, None]
    net = DropoutNetTowers(users_UF.shape[1], content_WP.shape[1])
    optimizer = momentum(net, settings.learning_rate, settings.l2)

    def kept(rows: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy((rng.random((len(rows), 1)) >= settings.dropped).astype(np.float32))

    for step, block in enumerate(blocks(active, len(items_WF), rng), start=1):
        net.train()
        users_AE = net.user_tower(users_UF[block.users] * kept(block.users))
        item_BF = items_WF[block.items] * kept(block.items)
        items_BE = net.item_tower(torch.cat([item_BF, content_WP[block.items]], dim=1))
        target_AB = raw_users_UF[block.users] @ raw_items_WF[block.items].T
        # Half of their pairs are a user's best items, half are any items.
        weight_AB = 0.5 + 0.5 / BEST_SHARE * (target_AB >= best_from_U1[block.users])
        loss = (weight_AB * (users_AE @ items_BE.T - target_AB) ** 2).mean()
        descend(optimizer, loss, step)
        if step % check_steps == 0:
            net.eval()
            with torch.no_grad():
                found = Embedded(step, net.user_tower(users_UF).numpy(), net.item_tower(asked).numpy())
            yield found
