"""Scorer `two_tower`: a small learned head, one tower for items and one for users, over the encoder's vectors.

Item: e = x W, W [D, F]. User: h = mean of e over their items, then u = h + relu(h A) B with a hidden layer of F.
Trained to pick a user's item among sampled ones, that item left out of the history: softmax over u · e / τ, τ learned,
from whose scores log q is taken off, q being the chance to be drawn (sampled softmax with logQ correction). An item is
drawn by the square root of its users. W starts as the vectors' leading directions and B as 0, so training
starts from what a centroid knows. The number of epochs is chosen on tuning sets.

Papers: Covington, Adams & Sargin 2016, Deep Neural Networks for YouTube Recommendations; Yi et al. 2019,
Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from recsys.baselines.floors import ByItem
from recsys.dataset.dataset import Dataset
from recsys.validation.sets import ValidationSet
from recsys.validation.tuning import choose, mixed_ndcg, tuning_sets

if TYPE_CHECKING:
    from torch import Tensor

# Shape suffixes: U users, I items, W warm items, C candidates, D width of the encoder, F width of the towers,
# P pairs, B pairs of a batch, N sampled items.
WIDTH = 128
EPOCHS = 12
"""Epochs of a training, at most."""
DEFAULT_EPOCHS = 4
MAX_STEPS = 200
"""Batches that an epoch reads, where there are more."""
BATCH = 512
SAMPLED = 1024
LEARNING_RATE = 0.002
WEIGHT_DECAY = 0.01
FIRST_SHARPNESS = 10.0
"""1 / τ at the start."""


@dataclass(frozen=True)
class TwoTower:
    """Items as the item tower sees them, and the user tower."""

    items_IF: NDArray[np.float32]
    hidden_FF: NDArray[np.float32]
    """A."""
    out_FF: NDArray[np.float32]
    """B."""
    means_UI: csr_array
    """Histories whose rows sum to 1."""
    learned_from: NDArray[np.int64]
    chosen: Mapping[str, float]
    """What the tuning sets chose, for reports."""

    def scores(self, users: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        """scores_UC = u · e."""
        mean_UF = self.means_UI[users] @ self.items_IF
        users_UF = mean_UF + np.maximum(mean_UF @ self.hidden_FF, 0) @ self.out_FF
        scores_UC: NDArray[np.float32] = users_UF @ self.items_IF[candidates].T
        return scores_UC


def two_tower(known: Dataset, sets: Sequence[ValidationSet] | None = None) -> TwoTower | ByItem:
    """Learned from warm items; tuning sets say for how many epochs, DEFAULT_EPOCHS where there are none."""
    if not len(known.warm):
        return ByItem(np.zeros(len(known.texts), np.float32), known.warm)
    sets = (tuning_sets(known) if sets is None else sets)[:1]  # more would take too long
    epochs = choose(sets, _tried) if sets else DEFAULT_EPOCHS
    model = next(islice(train(known), epochs - 1, None))
    return replace(model, chosen={"epochs": epochs})


def train(known: Dataset) -> Iterator[TwoTower]:
    """Train without end.

    Args:
        known: interactions from before the cut, some of them; at least one pair.

    Yields:
        The model after each epoch.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order: the same weights each time
    try:
        yield from _epochs(known)
    finally:
        torch.set_num_threads(threads)


def _tried(tuning: ValidationSet) -> Iterator[tuple[int, float]]:
    """Numbers of epochs with their metrics."""
    for epochs, model in enumerate(islice(train(tuning.dataset), EPOCHS), 1):
        yield epochs, mixed_ndcg(tuning, model.scores(tuning.mixed.users, tuning.mixed.candidates))


def _epochs(known: Dataset) -> Iterator[TwoTower]:
    import torch

    rng = np.random.default_rng([known.seed, 2])
    warm = known.warm
    vectors_WD = torch.from_numpy(np.ascontiguousarray(known.vectors_ID[warm]))
    histories_UW = csr_array(known.interactions.matrix_UI[:, warm], dtype=np.float32)
    chance_W = np.sqrt(known.interactions.n_users_I[warm])
    chance_W = chance_W / chance_W.sum()
    log_q_W = torch.from_numpy(np.log(chance_W).astype(np.float32))
    towers = _first(vectors_WD, known.seed)
    optimizer = torch.optim.AdamW(towers, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    user_P = np.repeat(np.arange(histories_UW.shape[0]), np.diff(histories_UW.indptr))
    while True:
        order = rng.permutation(len(user_P))[: MAX_STEPS * BATCH]
        for start in range(0, len(order), BATCH):
            pairs = order[start : start + BATCH]
            drawn = rng.choice(len(warm), SAMPLED, p=chance_W)
            users, items = user_P[pairs], histories_UW.indices[pairs].astype(np.int64)
            loss = _loss(
                towers,
                vectors_WD,
                torch.from_numpy(_batch(vectors_WD, histories_UW, users, items)),
                torch.from_numpy(items),
                torch.from_numpy(drawn),
                torch.from_numpy(histories_UW[users][:, drawn].toarray() > 0),
                log_q_W,
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        yield _frozen(known, towers)


def _first(vectors_WD: "Tensor", seed: int) -> "list[Tensor]":
    """W, A, B and log 1/τ."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = min(WIDTH, vectors_WD.shape[1])
    gram_DD = (vectors_WD.T @ vectors_WD).double()
    items_DF = torch.linalg.eigh(gram_DD).eigenvectors.flip(1)[:, :width].float().contiguous()
    hidden_FF = torch.randn(width, width, generator=generator) / width**0.5
    first = [items_DF, hidden_FF, torch.zeros(width, width), torch.tensor(float(np.log(FIRST_SHARPNESS)))]
    return [one.requires_grad_() for one in first]


def _batch(
    vectors_WD: "Tensor", histories_UW: csr_array, user_B: NDArray[np.int64], item_B: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Mean vector of each user's other items, [B, D]; 0 where there is none. W is linear, so it may come after."""
    vectors = vectors_WD.numpy()
    own = histories_UW[user_B]
    n_others_B = np.maximum(np.diff(own.indptr) - 1, 1)
    return np.asarray((own @ vectors - vectors[item_B]) / n_others_B[:, None], np.float32)


def _loss(
    towers: "list[Tensor]",
    vectors_WD: "Tensor",
    mean_BD: "Tensor",
    item_B: "Tensor",
    drawn_N: "Tensor",
    in_history_BN: "Tensor",
    log_q_W: "Tensor",
) -> "Tensor":
    """Cross-entropy of each pair's item among those drawn; drawn items of the user's history are none of the others."""
    import torch

    items_DF, hidden_FF, out_FF, sharpness = towers
    mean_BF = mean_BD @ items_DF
    users_BF = mean_BF + torch.relu(mean_BF @ hidden_FF) @ out_FF
    right_B = (users_BF * (vectors_WD[item_B] @ items_DF)).sum(1) * sharpness.exp()
    others_BN = users_BF @ (vectors_WD[drawn_N] @ items_DF).T * sharpness.exp() - log_q_W[drawn_N]
    others_BN = others_BN.masked_fill(in_history_BN, -torch.inf)
    # log of (1 / N) Σ e^s / q estimates that of Σ e^s over all items
    others_B = torch.logsumexp(others_BN, 1) - float(np.log(len(drawn_N)))
    return (torch.logaddexp(others_B, right_B) - right_B).mean()


def _frozen(known: Dataset, towers: "list[Tensor]") -> TwoTower:
    items_DF, hidden_FF, out_FF, _ = (one.detach().numpy().copy() for one in towers)
    histories_UI = csr_array(known.interactions.matrix_UI, dtype=np.float32)
    n_interactions_U = np.maximum(np.diff(histories_UI.indptr), 1)
    means_UI = csr_array(diags_array((1 / n_interactions_U).astype(np.float32)) @ histories_UI)
    return TwoTower(known.vectors_ID @ items_DF, hidden_FF, out_FF, means_UI, known.warm, {})
