"""One batch: encode its items, and backpropagate the loss through the tower.

A batch is encoded in packs of texts. With cached gradients the packs are encoded twice: first without keeping
activations, for the loss and its gradient by each vector; then one by one with gradient. The result is the same
(Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup", arXiv:2101.06983), and
memory holds one pack only. A GPU that runs out of memory switches to this, with half the tokens per pack, until a pack
fits.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recsys.errors import TrainingError
from recsys.training.inputs import Inputs
from recsys.training.known import Plan, step_rng
from recsys.training.params import FinetuneParams
from recsys.training.ranks import Ranks
from recsys.training.tower import Tower

# Shape suffixes: B items of the batch, G texts of a pack, D dimension.
SMALLEST_GROUP = 16
"""Tokens; a GPU without memory for these cannot train the model."""


@dataclass(frozen=True)
class Memory:
    """How much is held in memory at once."""

    tokens: int
    """Tokens per pack."""
    cached: bool
    """Whether packs are encoded twice instead of keeping activations."""

    def halved(self) -> "Memory":
        """Half the tokens, with cached gradients."""
        return Memory(self.tokens // 2, True)


@dataclass(frozen=True)
class _Batch:
    """What all passes of a batch share."""

    plan: Plan
    number: int
    """Everything random depends on it."""
    cached: bool
    """Whether packs are encoded twice."""
    inverse_B: Tensor
    """Place of each of the plan's texts among those of the packs, one after the other."""
    sizes: list[int]
    """Texts of each pack."""
    scale: float
    """Factor on the gradient."""


@dataclass(frozen=True)
class Encoding:
    """Encodes batches and computes gradients."""

    tower: Tower
    inputs: Inputs
    params: FinetuneParams
    ranks: Ranks
    report_progress: Callable[[str], None]

    def gradient(self, plan: Plan, number: int, memory: Memory, scale: float) -> tuple[float, Memory]:
        """Add the gradient of scale * loss to the parameters.

        Args:
            plan: of the batch.
            number: of the batch; everything random depends on it.
            memory: how much to hold at once.
            scale: one over the batches per step, times the loss scale of float16 (see `make_scaler`).

        Returns:
            The loss (without the scale), and how much memory could hold.

        Raises:
            TrainingError: the loss is not finite, or one pack does not fit into the device's memory.
        """
        before = [None if value.grad is None else value.grad.clone() for _, value in self.tower.trained()]
        while True:
            try:
                return self._gradient(plan, number, memory, scale), memory
            except torch.OutOfMemoryError as error:
                memory = self._smaller(memory, number, error)
            for (_, value), grad in zip(self.tower.trained(), before, strict=True):
                value.grad = None if grad is None else grad.clone()

    def _smaller(self, memory: Memory, number: int, error: Exception) -> Memory:
        smaller = memory.halved()
        if smaller.tokens < SMALLEST_GROUP:
            raise TrainingError(
                f"batch {number}: the device has too little memory, even for {memory.tokens} tokens at once",
                remedy="set finetune.layers to top or lora, lower encoder.max_tokens, or use a larger device",
            ) from error
        if self.ranks.device != "cpu":
            torch.cuda.empty_cache()
        self.report_progress(
            f"batch {number}: out of memory; from here on {smaller.tokens} tokens at once with cached gradients "
            "(the same gradient, except for what dropout leaves out)"
        )
        return smaller

    def _gradient(self, plan: Plan, number: int, memory: Memory, scale: float) -> float:
        tokens, texts_B = self.inputs.tokens, plan.rows
        if self.params.field_dropout > 0:
            rng = step_rng(self.params.seed, number, "fields")
            texts_B = tokens.varied(texts_B, self.params.field_dropout, rng)
        rng = step_rng(self.params.seed, number, "words")
        words = tokens.words(texts_B, self.params.word_dropout, rng)
        packs = list(words.packs(memory.tokens))
        inverse_B = torch.from_numpy(np.argsort(np.concatenate([one for pack in packs for one in pack])))
        batch = _Batch(plan, number, memory.cached, inverse_B, [sum(map(len, pack)) for pack in packs], scale)
        fed = {
            place: [self.inputs.block(words.block(one)) for one in packs[place]]
            for place in self.ranks.share(len(packs))
        }
        loss = self._pass(fed, batch)
        if self.params.adversarial_epsilon > 0:
            self._adversarial(fed, batch)
        return loss

    def _pass(self, fed: dict[int, list[Tensor]], batch: "_Batch") -> float:
        """Forward and backward pass of this process's packs; returns the loss of the whole batch."""
        with torch.no_grad() if batch.cached else nullcontext():
            mine = self.ranks.fitting(lambda: self._encode_all(fed, batch))
            pieces = self.ranks.gather(mine, batch.sizes, int(self.tower.model.config.hidden_size))
            ordered_BD = torch.cat(pieces)
        if not batch.cached:
            loss = self.ranks.fitting(lambda: self._loss(ordered_BD, batch))
            if mine:
                self.ranks.fitting((loss * batch.scale).backward)
            else:  # fewer packs than processes
                self.ranks.fitting(lambda: None)
            return float(loss.detach())
        ordered_BD.requires_grad_(True)

        def differentiated() -> tuple[Tensor, Tensor]:
            loss = self._loss(ordered_BD, batch)
            return loss, torch.autograd.grad(loss * batch.scale, ordered_BD)[0]

        loss, by_vector_BD = self.ranks.fitting(differentiated)
        by_pack = by_vector_BD.split(batch.sizes)

        def back() -> None:
            for place, one in fed.items():
                self._encode(one, batch.number, place).backward(by_pack[place])

        self.ranks.fitting(back)
        return float(loss.detach())

    def _encode_all(self, fed: dict[int, list[Tensor]], batch: "_Batch") -> dict[int, Tensor]:
        return {place: self._encode(one, batch.number, place) for place, one in fed.items()}

    def _adversarial(self, fed: dict[int, list[Tensor]], batch: "_Batch") -> None:
        """A second pass on inputs that are moved in the direction in which the loss grows fastest.

        Paper: Miyato et al. 2017, ICLR, "Adversarial training methods for semi-supervised text classification" (FGM).
        """
        kept = [None if value.grad is None else value.grad.clone() for _, value in self.tower.trained()]

        def embed() -> dict[int, list[Tensor]]:
            return {
                place: [
                    (one if one.is_floating_point() else self.tower.embed(one)).detach().requires_grad_(True)
                    for one in pack
                ]
                for place, pack in fed.items()
            }

        embedded = self.ranks.fitting(embed)
        self._pass(embedded, batch)
        epsilon = self.params.adversarial_epsilon
        moved = {place: [_moved(one, epsilon) for one in pack] for place, pack in embedded.items()}
        for (_, value), grad in zip(self.tower.trained(), kept, strict=True):
            value.grad = grad
        self._pass(moved, batch)

    def _encode(self, fed: list[Tensor], number: int, place: int) -> Tensor:
        # Dropout depends on batch and pack only, so it is the same with cached gradients and in resumed runs.
        if self.params.dropout > 0:
            torch.manual_seed(int(step_rng(self.params.seed, number, f"dropout {place}").integers(2**62)))
        with autocast(self.params.precision, self.ranks.device):
            x_GD: Tensor = self.tower(fed)
        return x_GD.float()

    def _loss(self, ordered_BD: Tensor, batch: "_Batch") -> Tensor:
        """The loss of the whole batch; TrainingError where it is not finite, in every process alike."""
        loss = batch.plan.loss(ordered_BD[batch.inverse_B])
        if not torch.isfinite(loss):
            rows = batch.plan.rows[:5].tolist()
            raise TrainingError(
                f"batch {batch.number}: the loss is {loss.item()} (items in rows {rows} …)",
                remedy="lower finetune.learning_rate or raise finetune.temperature; the last checkpoint is kept",
            )
        return loss


def _moved(embedded_GLD: Tensor, epsilon: float) -> Tensor:
    """Embeddings moved along their gradient, by a share of the norm of each text's embeddings."""
    plain_GLD = embedded_GLD.detach()
    length = plain_GLD.flatten(1).norm(dim=1)[:, None, None]
    if embedded_GLD.grad is None:
        raise ValueError("there is no gradient to move along")
    by_input = embedded_GLD.grad.flatten(1).norm(dim=1)[:, None, None].clamp_min(1e-12)
    moved_GLD = plain_GLD + epsilon * length * embedded_GLD.grad / by_input
    # A gradient that overflowed has no direction; this step will be skipped.
    return torch.where(torch.isfinite(moved_GLD), moved_GLD, plain_GLD)


def autocast(precision: str, device: str) -> Any:  # noqa: ANN401  a context manager
    """Half precision on CUDA. On a CPU it would be slower, so float32 is used."""
    if precision == "float32" or not device.startswith("cuda"):
        return nullcontext()
    return torch.autocast("cuda", dtype=getattr(torch, precision))


def encode_all(
    tower: Tower, inputs: Inputs, batch_tokens: int, precision: str, ranks: Ranks
) -> NDArray[np.float32]:
    """Encode all items with the tower's present weights.

    Args:
        tower: its dropout is off meanwhile.
        inputs: of all items.
        batch_tokens: tokens encoded at once.
        precision: autocast on CUDA.
        ranks: each encodes its share.

    Returns:
        vectors_ID, unit rows, in every process.
    """
    tower.eval()
    n_items, width = inputs.tokens.n_items, int(tower.model.config.hidden_size)
    vectors_ID = np.zeros((n_items, width), np.float32)
    with torch.inference_mode(), autocast(precision, ranks.device):
        words = inputs.tokens.words(np.arange(n_items))
        packs = list(words.packs(batch_tokens))
        for place in ranks.share(len(packs)):
            blocks = [inputs.block(words.block(rows)) for rows in packs[place]]
            vectors_ID[np.concatenate(packs[place])] = tower(blocks).float().cpu().numpy()
    tower.train()
    return np.asarray(ranks.sum(torch.from_numpy(vectors_ID)).numpy())
