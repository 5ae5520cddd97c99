"""Gated attention over the parts of a kernel head, as a rival of one validated weight for each view.

Parts are exact words, the encoder's vectors, and each view. Every item weighs the parts that it has by attention over
its codes z_p, its first coordinates in the kernel of part p: a = softmax of w_p · (tanh(V_p z_p) ⊙ sigmoid(U_p z_p)).
Two items are compared by the sum of b_p g_p(x) g_p(y) k_p(x, y). b_p is the part's weight in the head, g_p(x) is a_p(x)
times the number of parts that x has: with equal attention this is the kernel of the head.

Attention is learned through the closed form of kernel ridge regression. At each step a fifth of the landmarks is left
out, and every user's function is solved on the others. The loss is the softmax cross-entropy of the user's items among
those left out. Their popularity is given in it, so that attention need not tell which items are popular. The kernel is
scaled to a cosine there, as profiles are. Landmarks that are left out still count in the weights of words and names,
so they are a little better known than new items are.

Paper: Ilse, Tomczak & Welling 2018, Attention-based Deep Multiple Instance Learning (the gate).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import nn

from recsys.dataset.dataset import Dataset
from recsys.heads.directions import Directions, find_directions
from recsys.heads.kernel_head import Kernel
from recsys.heads.learning import Survey
from recsys.heads.params import FusionParams
from recsys.heads.recipe import Recipe
from recsys.heads.view_shares import TEXT, WORDS

# Shape suffixes: P parts, N items, M landmarks, U users, K landmarks to learn from, H landmarks left out, Z codes,
# D directions.
CODES = 16
HIDDEN = 16
LEFT_OUT = 0.2
LEARNING_RATE = 0.003
WEIGHT_DECAY = 0.01
LOG_FACTORS = tuple(float(one) for one in np.arange(-2, 6, 0.5))
"""Logarithms of the factor on scores that are tried before the first step."""


@dataclass(frozen=True)
class Parts:
    """What attention weighs, for N items and M landmarks among them."""

    names: tuple[str, ...]
    kernels_PNM: NDArray[np.float32]
    """Kernel of each part, times the part's weight in the head."""
    has_PN: NDArray[np.bool_]
    """Which parts an item has: those by which it resembles a landmark."""
    codes_PNZ: NDArray[np.float32]
    """Of mean 0 and standard deviation 1 over the landmarks; 0 where an item lacks the part."""
    landmarks: NDArray[np.int64]
    """Rows of the items that are landmarks."""

    def joined(self, gates_PN: NDArray[np.float32]) -> NDArray[np.float32]:
        """Gated kernel of all items with the landmarks, [N, M]."""
        joined_NM = np.zeros(self.kernels_PNM.shape[1:], np.float32)
        for gate_N, kernel_NM in zip(gates_PN, self.kernels_PNM, strict=True):
            joined_NM += gate_N[:, None] * kernel_NM * gate_N[self.landmarks]
        return joined_NM


def make_parts(dataset: Dataset, surveyed: Survey, recipe: Recipe, params: FusionParams) -> Parts:
    """Compare all items of a dataset with its landmarks, part by part.

    Args:
        dataset: what may be learned from, with the views of all items.
        surveyed: its landmarks.
        recipe: of a trained head; with weights above 0 of views that are called neither `words` nor `text`.
        params: section `fusion`.

    Returns:
        The parts; views that no landmark has are left out.
    """
    words_NV, by_term = csr_array(surveyed.lexical.encode(dataset.texts)), csr_array(surveyed.words_MV.T)
    share = recipe.lexical_share or 0.0
    meaning = Kernel(surveyed.lexical, 0.0, params.gamma)
    alike_NM = meaning.compare(words_NV, dataset.vectors_ID, by_term, surveyed.vectors_ML)
    kernels = {WORDS: share * csr_array(words_NV @ by_term).toarray(), TEXT: (1 - share) * alike_NM}
    for name, weight in recipe.view_weights.items():
        if name in surveyed.view_kernels:
            kernel = surveyed.view_kernels[name]
            kernels[name] = weight * kernel.compare(kernel.rows_of(dataset.views[name]))
    kernels_PNM = np.stack([one.astype(np.float32) for one in kernels.values()])
    has_PN = np.asarray(kernels_PNM.any(axis=2))
    codes_PNZ = np.stack(
        [
            _codes(kernel_NM, has_N, surveyed.landmarks)
            for kernel_NM, has_N in zip(kernels_PNM, has_PN, strict=True)
        ]
    )
    return Parts(tuple(kernels), kernels_PNM, has_PN, codes_PNZ, surveyed.landmarks)


def _codes(
    kernel_NM: NDArray[np.float32], has_N: NDArray[np.bool_], landmarks: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Coordinates along the landmarks' first principal directions, [N, CODES]; see `Parts`."""
    from scipy.sparse.linalg import eigsh

    own_MM = kernel_NM[landmarks].astype(np.float64)
    _, vectors_MZ = eigsh((own_MM + own_MM.T) / 2, k=CODES, v0=np.ones(len(own_MM)))
    codes_NZ: NDArray[np.float32] = kernel_NM @ vectors_MZ.astype(np.float32)
    known_MZ = codes_NZ[landmarks][has_N[landmarks]]
    codes_NZ -= known_MZ.mean(axis=0)
    codes_NZ /= np.maximum(known_MZ.std(axis=0), np.finfo(np.float32).tiny)
    codes_NZ[~has_N] = 0
    return codes_NZ


class Attention(nn.Module):
    """Weighs the parts of each item; equally before it has learned."""

    def __init__(self, n_parts: int) -> None:
        super().__init__()
        self.tanh = nn.ModuleList(nn.Linear(CODES, HIDDEN) for _ in range(n_parts))
        self.sigmoid = nn.ModuleList(nn.Linear(CODES, HIDDEN) for _ in range(n_parts))
        self.score = nn.ModuleList(nn.Linear(HIDDEN, 1) for _ in range(n_parts))
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)

    def forward(self, codes_PNZ: torch.Tensor, has_PN: torch.Tensor) -> torch.Tensor:
        """Gates [P, N]: attention times the number of an item's parts; 0 for parts that it lacks."""
        layers = zip(self.tanh, self.sigmoid, self.score, codes_PNZ, strict=True)
        scores_PN = torch.stack(
            [
                score(tanh(codes_NZ).tanh() * sigmoid(codes_NZ).sigmoid())[:, 0]
                for tanh, sigmoid, score, codes_NZ in layers
            ]
        ).masked_fill(~has_PN, torch.finfo(torch.float32).min)
        return scores_PN.softmax(dim=0) * has_PN.sum(dim=0) * has_PN


@dataclass(frozen=True)
class Lesson:
    """What one step is learned from: scores of the landmarks left out, for users with likes on both sides."""

    scores_UH: torch.Tensor
    share_UH: torch.Tensor
    """Of each user's likes among them; rows sum to 1."""
    popular_H: torch.Tensor
    """log(1 + number of users)."""

    def loss(self, log_factor: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, with a factor on the scores."""
        return nn.functional.cross_entropy(self.scores_UH * log_factor.exp() + self.popular_H, self.share_UH)


def learn_gates(
    parts: Parts, histories_UM: csr_array, kernel_lambda: float, seed: int, every: int
) -> Iterator[NDArray[np.float32]]:
    """Learn attention.

    Args:
        parts: of the items.
        histories_UM: 1 where a user likes a landmark.
        kernel_lambda: of the users' functions.
        seed: of the start and of what is left out.
        every: steps between two results.

    Yields:
        Gates of all items, [P, N]: before the first step, then after every so many. It never ends.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    codes_PNZ, has_PN = torch.from_numpy(parts.codes_PNZ), torch.from_numpy(parts.has_PN)
    own_PMM = torch.from_numpy(parts.kernels_PNM[:, parts.landmarks])
    size = float(own_PMM.sum(dim=0).diagonal().mean())
    likes_UM = torch.from_numpy(histories_UM.toarray().astype(np.float32))
    popular_M = likes_UM.sum(dim=0).log1p()
    attention, log_factor = Attention(len(parts.names)), nn.Parameter(torch.tensor(0.0))

    def lesson() -> Lesson:
        order = torch.from_numpy(rng.permutation(len(parts.landmarks)))
        n_out = round(LEFT_OUT * len(order))
        known, out = order[n_out:], order[:n_out]
        gates_PM = attention(codes_PNZ[:, parts.landmarks], has_PN[:, parts.landmarks])
        kernel_MM = torch.einsum("pm,pk,pmk->mk", gates_PM, gates_PM, own_PMM)
        length_M = kernel_MM.diagonal().clamp_min(torch.finfo(torch.float32).tiny).sqrt()
        kernel_MM = size * kernel_MM / (length_M[:, None] * length_M)  # λ stands beside a kernel of this size
        metric_KK = kernel_MM[known][:, known] + kernel_lambda * torch.eye(len(known))
        weights_KU = torch.cholesky_solve(likes_UM[:, known].T, torch.linalg.cholesky(metric_KK))
        wanted_UH = likes_UM[:, out]
        counts_U = (wanted_UH.sum(dim=1) > 0) & (likes_UM[:, known].sum(dim=1) > 0)
        share_UH = wanted_UH[counts_U] / wanted_UH[counts_U].sum(dim=1, keepdim=True)
        scores_UH = (kernel_MM[out][:, known] @ weights_KU[:, counts_U]).T
        return Lesson(scores_UH, share_UH, popular_M[out])

    with torch.no_grad():  # attention would otherwise begin by making all scores blunter, or sharper
        first = lesson()
        losses = torch.stack([first.loss(torch.tensor(one)) for one in LOG_FACTORS])
        log_factor.fill_(LOG_FACTORS[int(losses.argmin())])
    groups = [
        {"params": attention.parameters(), "weight_decay": WEIGHT_DECAY},
        {"params": [log_factor], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    step = 0
    while True:
        if step % every == 0:
            with torch.inference_mode():
                gates_PN = attention(codes_PNZ, has_PN).numpy()
            yield gates_PN
        loss = lesson().loss(log_factor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1


def gated_coordinates(
    parts: Parts, gates_PN: NDArray[np.float32], surveyed: Survey, params: FusionParams
) -> tuple[Directions, NDArray[np.float32]]:
    """Learn the directions of a head whose kernel is gated, as `heads.learning.learn` does without gates.

    Args:
        parts: of the items.
        gates_PN: gates of all items.
        surveyed: the landmarks, with users' histories over them.
        params: section `fusion`.

    Returns:
        The directions, and coordinates of all items along them before stretching, [N, D].
    """
    kernel_NM = parts.joined(gates_PN)
    directions = find_directions(
        kernel_NM[parts.landmarks], surveyed.tastes_UM, params.kernel_lambda, params.width, params.seed
    )
    return directions, kernel_NM @ directions.axes_MD
