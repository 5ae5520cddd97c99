"""Products of packed models, in torch: the operations that may be computed in 16 bits, nearly all of the work.

It imports torch, so it is itself imported only where a model is run by torch. A weight may be of 16 bits: products take
it as it is, and anything else widens it to float32.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Attributes = dict[str, Any]
Operation = Callable[..., Any]
"""Inputs -> an output, or a tuple of them where there are several."""
HALVES = (torch.bfloat16, torch.float16)


def on_one_device(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors on one device: that of those which are not on the processor, if there are any."""
    device = next((one.device for one in tensors if one.device.type != "cpu"), None)
    return tensors if device is None else tuple(one.to(device) for one in tensors)


def widened(tensor: Tensor) -> Tensor:
    """What has 16 bits as float32, anything else as it is."""
    return tensor.float() if tensor.dtype in HALVES else tensor


def product(dtype: torch.dtype | None) -> Callable[[Tensor, Tensor], Tensor]:
    """Product of matrices.

    Args:
        dtype: that both are rounded to, bfloat16 or float16; sums are of float32 inside. None: float32 throughout.

    Returns:
        A function of two tensors; its results are float32.
    """

    def multiply(left: Tensor, right: Tensor) -> Tensor:
        left, right = on_one_device(left, right)
        if dtype is None:
            return torch.matmul(widened(left), widened(right))
        return torch.matmul(left.to(dtype), right.to(dtype)).float()

    return multiply


def mat_mul(attributes: Attributes, dtype: torch.dtype | None) -> Operation:
    """Operation MatMul."""
    multiply = product(dtype)

    def run(left: Tensor, right: Tensor) -> Tensor:
        if attributes["transpose_a"]:
            left = left.mT
        return multiply(left, right.mT if attributes["transpose_b"] else right)

    return run


def attention(attributes: Attributes, dtype: torch.dtype | None) -> Operation:
    """Operation ScaledDotProductAttention, written out: torch's own picks a kernel by what the device offers."""
    multiply = product(dtype)

    def run(
        query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, scale: Tensor | None = None
    ) -> Tensor:
        factor = query.shape[-1] ** -0.5 if scale is None else float(scale)
        scores = multiply(query, key.mT) * factor
        if attributes["causal"]:
            n_queries, n_keys = scores.shape[-2:]
            mask = torch.ones(n_queries, n_keys, dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            scores, mask = on_one_device(scores, mask)
            hidden = torch.full((), -torch.inf, device=scores.device)
            scores = torch.where(mask, scores, hidden) if mask.dtype == torch.bool else scores + mask
        return multiply(scores.softmax(-1), value)

    return run


def convolution(attributes: Attributes, dtype: torch.dtype | None) -> Operation:
    """Operations Convolution and GroupConvolution, of pictures [B, C, H, W]."""
    if attributes["auto_pad"] not in ("explicit", "notset"):
        raise NotImplementedError(f"padding {attributes['auto_pad']}")
    begin, end = attributes["pads_begin"], attributes["pads_end"]
    around = [side for pair in zip(reversed(begin), reversed(end), strict=True) for side in pair]

    def run(pictures: Tensor, kernel: Tensor) -> Tensor:
        groups = 1
        if kernel.ndim > pictures.ndim:  # GroupConvolution: the groups come first
            groups, kernel = kernel.shape[0], kernel.flatten(0, 1)
        pictures, kernel = (
            widened(one) if dtype is None else one.to(dtype) for one in on_one_device(pictures, kernel)
        )
        stride, dilation = attributes["strides"], attributes["dilations"]
        padded = functional.pad(pictures, around)
        return functional.conv2d(padded, kernel, None, stride, 0, dilation, groups).float()

    return run


PRODUCTS: dict[str, Callable[[Attributes, torch.dtype | None], Operation]] = {
    "MatMul": mat_mul,
    "ScaledDotProductAttention": attention,
    "Convolution": convolution,
    "GroupConvolution": convolution,
}
"""Attributes of an operation and the type that factors are rounded to -> what it does."""
