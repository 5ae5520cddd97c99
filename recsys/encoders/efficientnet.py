"""EfficientNet-Lite0 without its classifier, as a torch module whose names are those of the packaged weights.

Source: Tan and Le 2019, arXiv:1905.11946; the Lite variant by Google (tensorflow/tpu, efficientnet/lite): no
squeeze-and-excitation, ReLU6, stem and head of fixed width. The packaged weights are Google's, converted to PyTorch.

It imports torch, so it is itself imported only where an encoder is packed.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

# Repeats, kernel, stride of the first, factor of widening, channels out: as in efficientnet_lite_builder.py.
BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280
EPSILON = 1e-3
CLASSIFIER = "_fc."


class SamePadded(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's "SAME" does it where the side is a multiple of the stride."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(n_in, n_out, kernel, stride, groups=groups, bias=False)
        missing = kernel - stride
        self.around = (missing // 2, missing - missing // 2)  # an odd pixel is added below and right

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, W]."""
        padded = pad(x, self.around * 2) if any(self.around) else x
        found: Tensor = super().forward(padded)
        return found


class Block(nn.Module):
    """Inverted residual block: widen, filter each channel, narrow."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = n_in * factor
        self.is_residual = stride == 1 and n_in == n_out
        self.is_widened = factor > 1
        if self.is_widened:
            self._expand_conv = SamePadded(n_in, wide, 1)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._depthwise_conv = SamePadded(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = SamePadded(wide, n_out, 1)
        self._bn2 = nn.BatchNorm2d(n_out, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n_in, H, W] -> [B, n_out, H / stride, W / stride]."""
        wide = relu6(self._bn0(self._expand_conv(x))) if self.is_widened else x
        narrow: Tensor = self._bn2(self._project_conv(relu6(self._bn1(self._depthwise_conv(wide)))))
        return narrow + x if self.is_residual else narrow


class EfficientNetLite0(nn.Module):
    """float32 [B, 3, 224, 224] -> [B, 1280], the mean of the last feature map."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SamePadded(3, STEM, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=EPSILON)
        blocks, n_in = [], STEM
        for repeats, kernel, stride, factor, n_out in BLOCKS:
            for repeat in range(repeats):
                blocks.append(Block(n_in, n_out, kernel, stride if repeat == 0 else 1, factor))
                n_in = n_out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SamePadded(n_in, HEAD, 1)
        self._bn1 = nn.BatchNorm2d(HEAD, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Features of normalised pixels."""
        x = relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return relu6(self._bn1(self._conv_head(x))).mean((2, 3))


def efficientnet_lite0(weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Build the network with given weights.

    Args:
        weights: the state_dict of the package; its classifier is left out.

    Returns:
        An `EfficientNetLite0` in evaluation mode.

    Raises:
        RuntimeError: a weight is missing, left over or has another shape.
    """
    network = EfficientNetLite0().eval()
    network.load_state_dict({name: one for name, one in weights.items() if not name.startswith(CLASSIFIER)})
    return network
