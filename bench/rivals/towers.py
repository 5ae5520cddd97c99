"""What DropoutNet and Heater share: towers for users and items, and steps over blocks of users × items.

The authors of both draw single pairs. A step here takes a block of users × items and weights every pair of it by how
often they would have drawn it, so the expected loss is theirs with less noise, at a hundredth of the cost per pair.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# Shape suffixes: U users, W known items, A users of a block, B items of a block, E embedding.
WIDTH = 200
"""Of the hidden layer and of the embedding, as both papers' code has it for CiteULike."""
INITIAL_DEVIATION = 0.01
MOMENTUM = 0.9
BLOCK_USERS = 512
BLOCK_ITEMS = 256


@dataclass(frozen=True)
class Embedded:
    """Where training has come to; score = inner product."""

    step: int
    users_UE: NDArray[np.float32]
    asked_CE: NDArray[np.float32]


@dataclass(frozen=True)
class Block:
    """The users and items of one step, as rows."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    scale: float
    """All pairs / pairs of a block: a block's sum times this estimates the sum over all pairs."""


def blocks(users: NDArray[np.int64], n_items: int, rng: np.random.Generator) -> Iterator[Block]:
    """Blocks without end: users and items are dealt out in turn, each pack shuffled anew when it is used up.

    Args:
        users: rows of users who have a history.
        n_items: number of known items.
        rng: what shuffles.

    Yields:
        Blocks of one size; all of them at once where there are few.
    """
    sides = [_dealt(users, BLOCK_USERS, rng), _dealt(np.arange(n_items), BLOCK_ITEMS, rng)]
    for drawn_users, drawn_items in zip(*sides, strict=True):
        scale = len(users) * n_items / (len(drawn_users) * len(drawn_items))
        yield Block(drawn_users, drawn_items, scale)


def _dealt(rows: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    size = min(size, len(rows))
    while True:
        shuffled = rng.permutation(rows)
        for start in range(0, len(rows) - size + 1, size):
            yield shuffled[start : start + size]


def dense(width_in: int, width_out: int) -> nn.Linear:
    """A layer that begins as theirs do: truncated normal weights, no bias."""
    layer = nn.Linear(width_in, width_out)
    nn.init.trunc_normal_(
        layer.weight, std=INITIAL_DEVIATION, a=-2 * INITIAL_DEVIATION, b=2 * INITIAL_DEVIATION
    )
    nn.init.zeros_(layer.bias)
    return layer


def tower(width_in: int) -> nn.Sequential:
    """[.., width_in] -> [.., WIDTH]: dense, batch norm, tanh, dense."""
    return nn.Sequential(
        dense(width_in, WIDTH), nn.BatchNorm1d(WIDTH, eps=1e-3), nn.Tanh(), dense(WIDTH, WIDTH)
    )


def momentum(net: nn.Module, learning_rate: float, l2: float) -> torch.optim.SGD:
    """SGD with momentum; `l2` · ‖θ‖² on weights and biases of dense layers, not on batch norm."""
    norms = {id(p) for m in net.modules() if isinstance(m, nn.BatchNorm1d) for p in m.parameters()}
    groups = [
        {"params": [p for p in net.parameters() if id(p) not in norms], "weight_decay": 2 * l2},
        {"params": [p for p in net.parameters() if id(p) in norms], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=learning_rate, momentum=MOMENTUM)


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor, step: int) -> None:
    """One step down.

    Args:
        optimizer: of all weights.
        loss: a number.
        step: its count, for the word of an error.

    Raises:
        FloatingPointError: the loss is not finite; the weights stay as they are.
    """
    if not torch.isfinite(loss):
        raise FloatingPointError(f"loss is {loss.item()} at step {step}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
