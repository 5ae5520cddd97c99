"""AdamW with warm-up and decay, and its state as plain tensors.

Paper: Loshchilov & Hutter 2019, ICLR, "Decoupled weight decay regularization", arXiv:1711.05101.
"""

from typing import Any

import torch
from torch import Tensor

from recsys.errors import TrainingError
from recsys.training.params import FinetuneParams
from recsys.training.tower import Tower

FIRST, SECOND, COUNT = "exp_avg", "exp_avg_sq", "step"
SMALLEST_SCALE = 1e-3
"""If the loss overflows even at this scale, the range of float16 is not the cause."""


def learning_rate(step: int, n_steps: int, params: FinetuneParams) -> float:
    """Linear warm-up, then linear decay; never 0 while steps are left.

    Args:
        step: number of the step, from 0.
        n_steps: of the whole run.
        params: learning_rate is the peak.

    Returns:
        The rate of this step.
    """
    warm = round(params.warmup_share * n_steps)
    if step < warm:
        return params.learning_rate * (step + 1) / warm
    return params.learning_rate * (n_steps - step) / max(1, n_steps - warm)


def make_optimizer(tower: Tower, params: FinetuneParams) -> Any:  # noqa: ANN401  torch.optim.AdamW
    """AdamW over the trained parameters. Weight decay applies to matrices, not to biases and norms.

    Args:
        tower: its trained parameters.
        params: learning_rate and weight_decay.

    Returns:
        The optimizer; one kernel updates all parameters.
    """
    trained = [value for _, value in tower.trained()]
    groups = [
        {"params": [value for value in trained if value.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [value for value in trained if value.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=params.learning_rate, fused=True)


def make_scaler(params: FinetuneParams, device: str) -> Any:  # noqa: ANN401  torch.amp.GradScaler or None
    """The loss scaler for float16, in which small gradients vanish and large ones overflow.

    Paper: Micikevicius et al. 2018, ICLR, "Mixed precision training", arXiv:1710.03740 (dynamic loss scaling).

    Args:
        params: precision.
        device: of the training.

    Returns:
        The scaler; None without float16.
    """
    if params.precision != "float16" or not device.startswith("cuda"):
        return None
    return fresh_scaler(device)


def fresh_scaler(device: str) -> Any:  # noqa: ANN401  torch.amp.GradScaler
    """A new scaler, ready for `move`."""
    scaler = torch.amp.GradScaler(device)
    scaler.scale(torch.zeros((), device=device))  # it creates its tensors at its first loss
    return scaler


def move(
    optimizer: Any,  # noqa: ANN401
    tower: Tower,
    rate: float,
    max_grad_norm: float,
    step: int,
    scaler: Any = None,  # noqa: ANN401
) -> float:
    """Clip the gradient, step, reset the gradient.

    Args:
        optimizer: see `make_optimizer`.
        tower: with gradients.
        rate: learning rate of this step.
        max_grad_norm: longer gradients are scaled to it.
        step: number of the step, for messages.
        scaler: the gradient is multiplied by its scale; it lowers the scale after an overflow.

    Returns:
        The gradient's norm before clipping; not finite where it overflowed and the step was skipped.

    Raises:
        TrainingError: the norm is not finite, with a scaler at any scale; no weight has changed.
    """
    trained = [value for _, value in tower.trained() if value.grad is not None]
    if scaler is not None:
        scaler.unscale_(optimizer)
    norm = float(torch.nn.utils.clip_grad_norm_(trained, max_grad_norm, foreach=True))
    is_finite = norm < float("inf")  # NaN compares false
    if not is_finite and (scaler is None or scaler.get_scale() < SMALLEST_SCALE):
        raise TrainingError(
            f"step {step}: the gradient's length is {norm}",
            remedy="lower finetune.learning_rate or raise finetune.temperature; the last checkpoint is kept",
        )
    for group in optimizer.param_groups:
        group["lr"] = rate
    if scaler is None:
        optimizer.step()
    else:
        scaler.step(optimizer)
        scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return norm


def optimizer_tensors(optimizer: Any, tower: Tower) -> dict[str, Tensor]:  # noqa: ANN401
    """The optimizer's state, keyed by `<parameter>:<state>`.

    Args:
        optimizer: see `make_optimizer`.
        tower: names its parameters.

    Returns:
        Tensors; none for parameters that never had a gradient.
    """
    return {
        f"{name}:{what}": optimizer.state[value][what]
        for name, value in tower.trained()
        if value in optimizer.state
        for what in (FIRST, SECOND, COUNT)
    }


def restore_optimizer(optimizer: Any, tower: Tower, tensors: dict[str, Tensor]) -> None:  # noqa: ANN401
    """Load the state of `optimizer_tensors` into a new optimizer.

    Args:
        optimizer: see `make_optimizer`.
        tower: names its parameters.
        tensors: the state.
    """
    for name, value in tower.trained():
        if f"{name}:{COUNT}" in tensors:
            optimizer.state[value] = {
                what: tensors[f"{name}:{what}"].to(value.device) for what in (FIRST, SECOND, COUNT)
            }
