"""One batch: encode its items, and propagate the loss back through the tower.

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
class Encoding:
    """Encodes batches and computes gradients."""

    tower: Tower
    inputs: Inputs
    params: FinetuneParams
    device: str
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
                remedy="set finetune.layers to top or lora, lower encoder.max_tokens, or take a larger device",
            ) from error
        if self.device != "cpu":
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
        fed = [[self.inputs.block(words.block(one)) for one in pack] for pack in packs]
        loss = self._pass(fed, plan, number, memory.cached, inverse_B, scale)
        if self.params.adversarial_epsilon > 0:
            self._adversarial(fed, plan, number, memory.cached, inverse_B, scale)
        return loss

    def _pass(
        self, fed: list[list[Tensor]], plan: Plan, number: int, cached: bool, inverse_B: Tensor, scale: float
    ) -> float:
        """Forward and backward pass; returns the loss."""
        if not cached:
            x_BD = torch.cat([self._encode(one, number, place) for place, one in enumerate(fed)])[inverse_B]
            loss = self._checked(plan.loss(x_BD), plan, number)
            (loss * scale).backward()
            return float(loss.detach())
        with torch.no_grad():
            ordered_BD = torch.cat([self._encode(one, number, place) for place, one in enumerate(fed)])
        ordered_BD.requires_grad_(True)
        loss = self._checked(plan.loss(ordered_BD[inverse_B]), plan, number)
        (by_vector_BD,) = torch.autograd.grad(loss * scale, ordered_BD)
        start = 0
        for place, one in enumerate(fed):
            x_GD = self._encode(one, number, place)
            x_GD.backward(by_vector_BD[start : start + len(x_GD)])
            start += len(x_GD)
        return float(loss.detach())

    def _adversarial(
        self, fed: list[list[Tensor]], plan: Plan, number: int, cached: bool, inverse_B: Tensor, scale: float
    ) -> None:
        """A second pass on inputs that are moved in the direction in which the loss grows fastest.

        Paper: Miyato et al. 2017, ICLR, "Adversarial training methods for semi-supervised text classification" (FGM).
        """
        kept = [None if value.grad is None else value.grad.clone() for _, value in self.tower.trained()]
        embedded = [
            [
                (one if one.is_floating_point() else self.tower.embed(one)).detach().requires_grad_(True)
                for one in pack
            ]
            for pack in fed
        ]
        self._pass(embedded, plan, number, cached, inverse_B, scale)
        moved = [[_moved(one, self.params.adversarial_epsilon) for one in pack] for pack in embedded]
        for (_, value), grad in zip(self.tower.trained(), kept, strict=True):
            value.grad = grad
        self._pass(moved, plan, number, cached, inverse_B, scale)

    def _encode(self, fed: list[Tensor], number: int, place: int) -> Tensor:
        # Dropout depends on batch and pack only, so it is the same with cached gradients and in resumed runs.
        if self.params.dropout > 0:
            torch.manual_seed(int(step_rng(self.params.seed, number, f"dropout {place}").integers(2**62)))
        with autocast(self.params.precision, self.device):
            x_GD: Tensor = self.tower(fed)
        return x_GD.float()

    def _checked(self, loss: Tensor, plan: Plan, number: int) -> Tensor:
        if not torch.isfinite(loss):
            raise TrainingError(
                f"batch {number}: the loss is {loss.item()} (items in rows {plan.rows[:5].tolist()} …)",
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
    tower: Tower, inputs: Inputs, batch_tokens: int, precision: str, device: str
) -> NDArray[np.float32]:
    """Encode all items with the tower's present weights.

    Args:
        tower: its dropout is off meanwhile.
        inputs: of all items.
        batch_tokens: tokens encoded at once.
        precision: autocast on CUDA.
        device: of the computation.

    Returns:
        vectors_ID, unit rows.
    """
    tower.eval()
    n_items = inputs.tokens.n_items
    vectors_ID: NDArray[np.float32] | None = None
    with torch.inference_mode(), autocast(precision, device):
        words = inputs.tokens.words(np.arange(n_items))
        for pack in words.packs(batch_tokens):
            found = tower([inputs.block(words.block(rows)) for rows in pack]).float().cpu().numpy()
            if vectors_ID is None:
                vectors_ID = np.empty((n_items, found.shape[1]), np.float32)
            vectors_ID[np.concatenate(pack)] = found
    tower.train()
    assert vectors_ID is not None
    return vectors_ID
